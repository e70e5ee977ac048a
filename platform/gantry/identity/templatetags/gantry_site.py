"""Style and script of the plain pages."""

from __future__ import annotations

import structlog
from django import template
from django.utils.safestring import SafeString, mark_safe
from django_vite.templatetags.django_vite import vite_asset

register = template.Library()
log = structlog.get_logger(__name__)


@register.simple_tag
def site_assets(entry: str = "src/ui/site.ts") -> SafeString:
    """Return the tags of a bundle; nothing where it has not been built, so that people can sign in regardless."""
    try:
        tags: str = vite_asset(entry)
    except RuntimeError as error:
        log.warning("site.unstyled", reason=type(error).__name__)
        return SafeString("")
    return mark_safe(tags)  # noqa: S308 - made by django-vite from the build's own manifest
