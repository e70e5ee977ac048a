"""A page of HTML as PDF (WeasyPrint)."""

from __future__ import annotations

from typing import Any


def write_pdf(page: str) -> bytes:
    """Return a page as PDF. Nothing is fetched: every address in it is refused."""
    import weasyprint

    document: Any = weasyprint.HTML(string=page, url_fetcher=_refuse)
    pdf: bytes = document.write_pdf()
    return pdf


def _refuse(url: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG001 - as WeasyPrint calls it
    raise ValueError("this page loads nothing")
