"""Pages: the worklist and the viewer. They carry no patient data; the scripts fetch it through the gate."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render

from gantry.access.public import ROLE_PERMISSIONS
from gantry.agreements.public import load_terms
from gantry.foundation.scope import tenant_scope, unit_of_work
from gantry.foundation.web.problems import problem_response
from gantry.kernel.actor import Actor
from gantry.kernel.clock import SYSTEM_CLOCK
from gantry.kernel.errors import NotFoundError
from gantry.tenancy.public import get_tenant, list_institutions, list_tenants_of, resolve_actor


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Send a person to their tenant; ask which one if there are several."""
    assert request.user.is_authenticated
    tenants = list_tenants_of(request.user.pk)
    if len(tenants) == 1:
        return redirect(f"/t/{tenants[0].slug}/")
    return render(request, "viewing/tenants.html", {"tenants": tenants})


@login_required
def worklist(request: HttpRequest, tenant: str) -> HttpResponse:
    """Show the worklist."""
    return _page(request, tenant, "gantry-worklist-page", "src/ui/worklist.ts", "Worklist")


@login_required
def viewer(request: HttpRequest, tenant: str, study_id: UUID) -> HttpResponse:
    """Show a study. Whether there is one is said by the API, in the same words for absent and foreign."""
    return _page(request, tenant, "gantry-viewer-page", "src/ui/viewer.ts", "Viewer", study_id=str(study_id))


def absent(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 - Django names it
    """Answer for an address that there is not: programs get a problem, people a page."""
    if "/api/" in request.path:
        return problem_response(NotFoundError())
    return HttpResponseNotFound(render(request, "viewing/absent.html").content)


def _page(request: HttpRequest, slug: str, element: str, entry: str, title: str, **extra: Any) -> HttpResponse:
    try:
        actor = resolve_actor(request, slug)
    except NotFoundError:
        return absent(request)
    if actor is None:
        return redirect("/accounts/login/")
    bootstrap = {**_bootstrap(request, slug, actor), **extra}
    context = {"bootstrap": bootstrap, "element": element, "entry": entry, "title": title}
    return render(request, "viewing/page.html", context)


def _bootstrap(request: HttpRequest, slug: str, actor: Actor) -> dict[str, Any]:
    base = f"/t/{slug}"
    with tenant_scope(actor), unit_of_work():
        tenant = get_tenant()
        institutions = list_institutions(actor=actor)
        terms = load_terms()
    in_force = terms is not None and terms.is_in_force(SYSTEM_CLOCK.now())
    return {
        "tenant": {"slug": slug, "name": tenant.name},
        "user": {"id": str(request.user.pk), "name": request.user.get_full_name(), "email": request.user.email},  # type: ignore[union-attr]  # signed in
        "role": actor.role.value,
        "permissions": list(ROLE_PERMISSIONS[actor.role]),
        "institutions": [{"id": str(one.pk), "name": one.name, "is_default": one.is_default} for one in institutions],
        "csrf_token": get_token(request),
        "urls": {
            "api": f"{base}/api/v1",
            "dicomweb": f"{base}/dicomweb",
            "ws": f"{base}/ws/v1/events",
            "worklist": f"{base}/",
            "sessions": "/accounts/sessions/",
            "logout": "/accounts/logout/",
        },
        "agreement": {
            "in_force": in_force,
            "sentence": ""
            if in_force
            else "No data processing agreement is in force for this organisation: patient data can be neither "
            "stored nor shown. Ask your compliance officer to have the agreement signed.",
        },
    }
