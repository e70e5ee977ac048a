"""What a pod asks of the control plane, and the two ways to ask it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol
from uuid import UUID, uuid4

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gantry_render.protocol import TICKET_LIVES_S, CloseCode, ProtocolError, TicketClaims, read_claims, split_ticket
from gantry_render.server.errors import SessionError
from gantry_render.server.tickets import sign_ticket
from gantry_render.server.tracing import current_headers
from gantry_storage import Secret

_MAX_ANSWER_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One sealed object and the key that opens it alone."""

    tenant_id: UUID
    object_id: UUID
    size_bytes: int
    data_key: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class ResultRef:
    """A result that may be drawn in the volume."""

    id: str
    label: str
    colour: tuple[float, float, float]
    is_reviewed: bool
    kind: Literal["mesh", "segmentation"]
    object: ObjectRef


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a redeemed ticket opens."""

    session: str
    tenant_id: UUID
    study_id: UUID
    series_id: UUID
    modality: str
    pack: ObjectRef
    results: tuple[ResultRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that may go on no longer."""

    session: str
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class RefusedTicket:
    """A ticket that this pod refused by itself, and how often since the last report; `code` is one of the protocol's."""

    ticket: str = field(repr=False)
    code: str
    count: int


class ControlError(Exception):
    """The control plane did not answer, or not in these terms."""


class ControlPlane(Protocol):
    """Port to the control plane."""

    async def redeem(self, ticket: str) -> Manifest:
        """Use a ticket up.

        Raises
        ------
        SessionError
            The control plane refuses; with its code and sentence.
        ControlError
            It did not answer.
        """

    async def renew(self, sessions: Sequence[str]) -> tuple[Ended, ...]:
        """Ask for all sessions at once whether they may go on; return those that may not.

        Raises
        ------
        ControlError
            It did not answer, so nothing is known.
        """

    async def release(self, sessions: Sequence[str]) -> None:
        """Say that sessions ended here; raises nothing."""

    async def report(self, tickets: Sequence[RefusedTicket]) -> None:
        """Tell of refused tickets, for the audit trail.

        Raises
        ------
        ControlError
            It did not answer.
        """

    async def close(self) -> None:
        """Let go of connections."""


class HttpControlPlane:
    """The control plane's internal endpoints.

    Parameters
    ----------
    url
        `http://host:port` or `unix:/path`.
    pod_key, pod
        What this pod shows and is called.
    """

    def __init__(self, url: str, pod_key: str, pod: str) -> None:
        is_unix = url.startswith("unix:")
        self._pod = pod
        self._client = httpx.AsyncClient(
            base_url="http://control" if is_unix else url,
            transport=httpx.AsyncHTTPTransport(uds=url.removeprefix("unix:")) if is_unix else None,
            headers={"Authorization": f"Bearer {pod_key}"},
            timeout=httpx.Timeout(_TIMEOUT_S, read=2 * _TIMEOUT_S),
            trust_env=False,
        )

    async def redeem(self, ticket: str) -> Manifest:
        answer = await self._post("redeem", {"ticket": ticket, "pod": self._pod})
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise _refusal(_json(answer))
        return parse_manifest(_json(answer))

    async def renew(self, sessions: Sequence[str]) -> tuple[Ended, ...]:
        answer = await self._post("lease", {"pod": self._pod, "sessions": list(sessions)})
        try:
            return tuple(
                Ended(str(each["session"]), str(each["code"]), str(each["sentence"])) for each in _json(answer)["ended"]
            )
        except (KeyError, TypeError):
            raise ControlError("The control plane's answer on leases cannot be read.") from None

    async def release(self, sessions: Sequence[str]) -> None:
        try:
            await self._post("release", {"pod": self._pod, "sessions": list(sessions)})
        except ControlError:
            return

    async def report(self, tickets: Sequence[RefusedTicket]) -> None:
        rows = [{"ticket": each.ticket, "code": each.code, "count": each.count} for each in tickets]
        await self._post("refused", {"pod": self._pod, "tickets": rows})

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, verb: str, body: dict[str, Any]) -> httpx.Response:
        try:
            answer = await self._client.post(f"/internal/render/v1/{verb}", json=body, headers=current_headers())
        except httpx.HTTPError as error:
            raise ControlError(f"The control plane did not answer: {type(error).__name__}.") from None
        if answer.status_code >= 400 and answer.status_code != httpx.codes.FORBIDDEN:
            raise ControlError(f"The control plane answered {answer.status_code}.")
        return answer


class MemoryControlPlane:
    """A control plane in this process: hands out tickets and keeps sessions in a table.

    For tests, benchmarks and looking at packs that lie in a folder.

    Parameters
    ----------
    clock
        Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._private = Ed25519PrivateKey.generate()
        self._clock = clock
        self._manifests: dict[UUID, Manifest] = {}
        self.ended: dict[str, Ended] = {}
        self.released: list[str] = []
        self.reported: list[RefusedTicket] = []
        self.is_reachable = True

    @property
    def public_key(self) -> bytes:
        """What pods check tickets with."""
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return self._private.public_key().public_bytes(*raw)

    def issue(self, manifest: Manifest, *, lives_s: float = TICKET_LIVES_S - 1) -> str:
        """Return a ticket that opens `manifest` once."""
        claims = TicketClaims(
            uuid4(), UUID(manifest.session), manifest.tenant_id, manifest.series_id, int(self._clock() + lives_s)
        )
        self._manifests[claims.ticket_id] = manifest
        raw = serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        return sign_ticket(claims, self._private.private_bytes(*raw))

    def end(self, session: str, code: str, sentence: str) -> None:
        """Let a session go on no longer."""
        self.ended[session] = Ended(session, code, sentence)

    async def redeem(self, ticket: str) -> Manifest:
        self._require_reachable()
        try:
            claims = read_claims(split_ticket(ticket)[0])
        except ProtocolError as error:
            raise SessionError(CloseCode.TICKET_REFUSED, "ticket.forged", error.sentence) from None
        manifest = self._manifests.pop(claims.ticket_id, None)
        if manifest is None:
            raise SessionError(CloseCode.TICKET_REFUSED, "ticket.used", "This ticket was used before.", 0)
        return manifest

    async def renew(self, sessions: Sequence[str]) -> tuple[Ended, ...]:
        self._require_reachable()
        return tuple(self.ended[session] for session in sessions if session in self.ended)

    async def release(self, sessions: Sequence[str]) -> None:
        self.released.extend(sessions)

    async def report(self, tickets: Sequence[RefusedTicket]) -> None:
        self._require_reachable()
        self.reported.extend(tickets)

    async def close(self) -> None:
        """Nothing is open."""

    def _require_reachable(self) -> None:
        if not self.is_reachable:
            raise ControlError("The control plane did not answer: told so.")


def parse_manifest(raw: Any) -> Manifest:
    """Read the control plane's answer to `redeem`.

    Raises
    ------
    ControlError
        It is none.
    """
    try:
        return Manifest(
            session=str(UUID(raw["session"])),
            tenant_id=UUID(raw["tenant_id"]),
            study_id=UUID(raw["study_id"]),
            series_id=UUID(raw["series_id"]),
            modality=str(raw["modality"]),
            pack=_object(raw["pack"]),
            results=tuple(_result(each) for each in raw.get("results", [])),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ControlError("The control plane's manifest cannot be read.") from None


def _object(raw: Any) -> ObjectRef:
    key = Secret(base64.b64decode(raw["data_key"]))
    return ObjectRef(UUID(raw["tenant_id"]), UUID(raw["object_id"]), int(raw["size_bytes"]), key)


def _result(raw: Any) -> ResultRef:
    red, green, blue = (min(1.0, max(0.0, float(part))) for part in raw["colour"])
    kind = raw["kind"]
    if kind not in {"mesh", "segmentation"}:
        raise ValueError(kind)
    return ResultRef(
        str(UUID(raw["id"])),
        str(raw["label"]),
        (red, green, blue),
        bool(raw["is_reviewed"]),
        kind,
        _object(raw["object"]),
    )


def _json(answer: httpx.Response) -> Any:
    if len(answer.content) > _MAX_ANSWER_BYTES:
        raise ControlError("The control plane's answer is too long.")
    try:
        return answer.json()
    except ValueError:
        raise ControlError("The control plane's answer is no JSON.") from None


def _refusal(raw: Any) -> SessionError:
    code, sentence = str(raw.get("code", "refused")), str(raw.get("sentence", "Refused."))
    if code.startswith("ticket."):
        return SessionError(CloseCode.TICKET_REFUSED, code, sentence, 0)
    return SessionError(closing(code), code, sentence)


def closing(code: str) -> CloseCode:
    """Return with which close code a refusal of the control plane ends a session."""
    if code.startswith(("session.signed_out", "identity.")):
        return CloseCode.SIGNED_OUT
    return CloseCode.ABSENT if code.endswith(".absent") else CloseCode.REFUSED
