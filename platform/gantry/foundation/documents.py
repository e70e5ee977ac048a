"""Documents that people read and file: a few kinds of block, written as plain text, as one HTML page, as PDF."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from gantry.kernel.errors import ErrorKind, GantryError


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block: TypeAlias = Heading | Paragraph | Table


class NoPdfError(GantryError):
    """PDF cannot be made on this machine."""

    code = "pdf.unavailable"
    kind = ErrorKind.UNAVAILABLE
    title = "PDF cannot be made here"


def to_text(blocks: Iterable[Block]) -> str:
    """Return blocks as lines of text; what is a table has bars between its cells."""
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            lines += ["", f"{'#' * block.level} {_one_line(block.text)}"]
        elif isinstance(block, Paragraph):
            lines += ["", *(_one_line(line) for line in block.text.split("\n"))]
        else:
            lines += ["", *(" | ".join(map(_one_line, row)) for row in (block.headings, *block.rows))]
    return "\n".join(lines).lstrip("\n") + "\n"


def to_html(blocks: Iterable[Block], *, title: str, state: str = "", mark: str = "", foot: str = "") -> str:
    """Return blocks as one HTML page that needs nothing from outside.

    Parameters
    ----------
    state
        A word at the head of the first page, such as "in force".
    mark
        A word across every page, such as "draft".
    foot
        The last line.
    """
    head = f'<p class="state">{html.escape(state)}</p>' if state else ""
    across = f'<div class="mark">{html.escape(mark)}</div>' if mark else ""
    last = f'<p class="foot">{html.escape(foot)}</p>' if foot else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{across}{head}{''.join(map(_html, blocks))}{last}</body></html>"
    )


def to_pdf(page: str) -> bytes:
    """Return an HTML page as PDF (PDF/UA-1), by WeasyPrint; nothing is fetched.

    Raises
    ------
    NoPdfError
        Pango, or another library that WeasyPrint needs, is not installed.
    """
    try:
        import weasyprint

        logging.getLogger("weasyprint.progress").setLevel(logging.WARNING)  # it tells of every page
    except OSError as error:
        raise NoPdfError(
            "The libraries that lay out PDF are not installed on this machine (Debian: libpango-1.0-0 "
            "libpangoft2-1.0-0 libharfbuzz-subset0 and a font). The document is there as HTML and as text."
        ) from error
    data: bytes = weasyprint.HTML(string=page, base_url=None, url_fetcher=_refuse).write_pdf(pdf_variant="pdf/ua-1")
    return data


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return "".join(f"<p>{html.escape(line)}</p>" for line in block.text.split("\n") if line.strip())
    head = _cells("th", block.headings)
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in block.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)


def _one_line(text: str) -> str:
    # A bar within a cell would look like the next cell.
    return " ".join(text.replace("|", "¦").split())


def _refuse(url: str, *_args: object, **_options: object) -> NoReturn:
    raise ValueError(f"A document fetches nothing: {url[:40]!r}")


_STYLE = """
@page { size: A4; margin: 22mm 18mm 20mm; @bottom-right { content: counter(page) " / " counter(pages); font-size: 8pt } }
body { font-family: "DejaVu Sans", "Noto Sans", sans-serif; font-size: 9pt; line-height: 1.4; color: #111 }
h1 { font-size: 16pt; margin: 0 0 4pt } h2 { font-size: 11pt; margin: 14pt 0 4pt; break-after: avoid }
p { margin: 0 0 5pt } .state { text-align: right; text-transform: uppercase; letter-spacing: .1em; font-size: 8pt }
table { border-collapse: collapse; width: 100%; margin: 4pt 0 8pt; font-size: 7.5pt } thead { display: table-header-group }
th, td { border: .4pt solid #888; padding: 2pt 4pt; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { background: #eee; overflow-wrap: normal; white-space: nowrap }
tr { break-inside: avoid } .foot { margin-top: 10pt; font-size: 7.5pt; overflow-wrap: anywhere }
.mark { position: fixed; top: 35%; left: 0; right: 0; text-align: center; font-size: 110pt; color: #00000012;
        text-transform: uppercase; transform: rotate(-30deg) }
"""
