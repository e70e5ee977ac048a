"""A STOW-RS client (PS3.18 §10.5) that says what became of each file."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from gantry.transfer.sources import Source


class TransferError(Exception):
    """The transfer cannot go on; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A tenant of a site, and what opens it."""

    base: str
    token: str = field(repr=False)
    institution: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """An instance that was not stored."""

    sop_instance_uid: str
    sentence: str


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What a request stored, and what it did not."""

    studies: frozenset[str]
    stored: int
    failures: tuple[Failure, ...]


class StowClient:
    """Talks to one destination. A context manager."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        headers = {"Authorization": f"Bearer {destination.token}"}
        if destination.institution:
            headers["Gantry-Institution"] = destination.institution
        self._http = httpx.Client(headers=headers, timeout=httpx.Timeout(300.0, connect=10.0))

    def __enter__(self) -> StowClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def store(self, sources: Sequence[Source], on_sent: Any = None) -> StoreResult:
        """Send files in one request.

        Raises
        ------
        TransferError
            The request as a whole was refused, or the site does not answer.
        """
        boundary = secrets.token_hex(20)
        content_type = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
        try:
            response = self._http.post(
                f"{self._destination.base}/dicomweb/studies",
                content=_body(sources, boundary, on_sent),
                headers={"Content-Type": content_type, "Accept": "application/dicom+json"},
            )
        except httpx.TransportError as error:
            raise TransferError(
                f"The site does not answer ({type(error).__name__}). What was sent before is stored."
            ) from None
        if response.status_code not in {200, 202, 409} or "dicom+json" not in response.headers.get("Content-Type", ""):
            raise TransferError(_explain(response))
        return _result(response.json())

    def get(self, path: str) -> Any:
        """Return JSON of the tenant's API."""
        response = self._http.get(f"{self._destination.base}{path}")
        if response.status_code != httpx.codes.OK:
            raise TransferError(_explain(response))
        return response.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Post JSON to the tenant's API and return its answer."""
        response = self._http.post(f"{self._destination.base}{path}", json=body)
        if response.is_error:
            raise TransferError(_explain(response))
        return response.json()


def _body(sources: Sequence[Source], boundary: str, on_sent: Any) -> Iterator[bytes]:
    for source in sources:
        yield f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        data = source.read()
        for start in range(0, len(data), 1 << 18):
            chunk = data[start : start + (1 << 18)]
            yield chunk
            if on_sent is not None:
                on_sent(len(chunk))
    yield f"\r\n--{boundary}--\r\n".encode()


def _explain(response: httpx.Response) -> str:
    try:
        problem = response.json()
        return f"{problem['detail']} ({problem['code']})"
    except (ValueError, KeyError, TypeError):
        return f"The site answered {response.status_code}."


def _result(body: dict[str, Any]) -> StoreResult:
    stored = body.get("00081199", {}).get("Value", [])
    failed = body.get("00081198", {}).get("Value", [])
    urls = [_first(item, "00081190") for item in stored]
    return StoreResult(
        studies=frozenset(url.split("/studies/")[1].split("/")[0] for url in urls if "/studies/" in url),
        stored=len(stored),
        failures=tuple(Failure(_first(item, "00081155"), _first(item, "00000902")) for item in failed),
    )


def _first(item: dict[str, Any], tag: str) -> str:
    values = item.get(tag, {}).get("Value") or [""]
    return str(values[0])
