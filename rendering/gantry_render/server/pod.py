"""What all sessions of one process share: memory, series, the engine, the lease, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Hashable
from typing import Final

import structlog

from gantry_imaging.errors import ImagingError
from gantry_imaging.pack import Pack
from gantry_render.engine.choose import Choice
from gantry_render.engine.jit import core_count
from gantry_render.protocol import LEASE_EVERY_S, CloseCode, TicketClaims
from gantry_render.server.config import RenderConfig
from gantry_render.server.control import ControlError, ControlPlane, Manifest, closing
from gantry_render.server.errors import SessionError
from gantry_render.server.leases import Leases, Open
from gantry_render.server.loading import Series
from gantry_render.server.memory import Memory
from gantry_render.server.metrics import Metrics
from gantry_render.server.objects import Objects
from gantry_render.server.refusals import Refusals
from gantry_render.server.room import plan_room
from gantry_render.server.scheduler import Scheduler
from gantry_render.server.tickets import check_ticket
from gantry_storage import ObjectCorruptError, StorageError

log = structlog.get_logger(__name__)

_RETRY_MS: Final = 2000
_DRAIN_RETRY_MS: Final = 500
_OPEN_TIMEOUT_S: Final = 15.0
_KEPT_IDLE_S: Final = 60.0
"""So long a series that nobody looks at is kept: what is erased meanwhile may be told to nobody here."""

_RIGHT_GONE: Final = frozenset({CloseCode.SIGNED_OUT, CloseCode.REFUSED, CloseCode.ABSENT})


class Pod:
    """One process. Lives on the loop's thread.

    Parameters
    ----------
    config, control, objects, choice
        Settings, the control plane, where objects are read from, and the engine with the reason why it is this one.
    """

    def __init__(self, config: RenderConfig, control: ControlPlane, objects: Objects, choice: Choice) -> None:
        self.config = config
        self.control = control
        self.objects = objects
        self.choice = choice
        self.memory = Memory(config.memory_bytes)
        self.metrics = Metrics(lambda: self.memory.reserved_bytes, lambda: len(self._leases))
        self.scheduler = Scheduler(core_count())
        self.refusals = Refusals(control)
        self.is_draining = False
        self._series: dict[Hashable, Series] = {}
        self._opening: dict[Hashable, asyncio.Future[Series]] = {}
        self._leases = Leases()
        self._endings: set[asyncio.Task[None]] = set()
        self._lease_task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to renew leases."""
        self._lease_task = asyncio.create_task(self._renew_forever())

    async def stop(self) -> None:
        """End every session and let go of everything."""
        await self.drain()
        if self._lease_task is not None:
            self._lease_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._lease_task
        self.memory.clear()
        self.scheduler.close()
        await self.refusals.close()
        await self.control.close()

    async def drain(self) -> None:
        """Take no new sessions, and hand over those there are: their clients go to another pod at once."""
        self.is_draining = True
        going = SessionError(
            CloseCode.DRAINING, "pod.draining", "This server is going down; another one takes over.", _DRAIN_RETRY_MS
        )
        clients = self._leases.clients
        if clients:
            log.info("draining", sessions=len(clients))
        await asyncio.gather(*(client.end(going) for client in clients), return_exceptions=True)

    def require_open(self) -> None:
        """Refuse a session while draining.

        Raises
        ------
        SessionError
            `pod.draining`.
        """
        if self.is_draining:
            raise SessionError(CloseCode.DRAINING, "pod.draining", "This server is going down.", _DRAIN_RETRY_MS)

    # Sessions.

    def require_ticket(self, ticket: str, series_id: str) -> TicketClaims:
        """Return what a ticket says, if it is ours, for now and for this series; the control plane is told of others.

        Raises
        ------
        SessionError
            As `check_ticket`.
        """
        try:
            return check_ticket(ticket, self.config.ticket_public_key, series_id, time.time())
        except SessionError as error:
            self.refusals.note(ticket, error.code)
            raise

    def enter(self, client: Open, asked_at: float) -> None:
        """Note an open session; one of the same name, from before a reconnect, ends.

        Parameters
        ----------
        asked_at
            When its ticket was sent to be redeemed: so long its lease is known to be good.
        """
        before = self._leases.enter(client, asked_at)
        if before is not None:
            taken = SessionError(CloseCode.REFUSED, "session.taken_over", "This view was opened again elsewhere.")
            self._end_soon(before, taken)

    async def leave(self, client: Open) -> None:
        """Forget a session that ended."""
        if self._leases.leave(client):
            await self.control.release([client.session_id])

    async def _renew_forever(self) -> None:
        while True:
            started = time.monotonic()
            if self._leases:
                # The answer may take longer than the lease lives: who waits for it must not delay the end.
                renewing = asyncio.create_task(self._renew())
                await asyncio.wait({renewing}, timeout=LEASE_EVERY_S)
                if not renewing.done():
                    renewing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await renewing
            self._end_lapsed()
            self.memory.drop_idle(time.monotonic() - _KEPT_IDLE_S)
            await asyncio.sleep(max(0.05, LEASE_EVERY_S - (time.monotonic() - started)))

    async def _renew(self) -> None:
        asked_at = time.monotonic()
        asked = self._leases.ask()
        try:
            ended = await self.control.renew(list(asked))
        except ControlError as error:
            log.warning("lease_not_renewed", why=str(error))
            return
        except Exception:
            log.exception("lease_not_renewed")
            return
        over = {each.session: each for each in ended}
        self._leases.confirm(asked, asked_at, over)
        for session, each in over.items():
            if session in asked:
                self._end_soon(asked[session].client, SessionError(closing(each.code), each.code, each.sentence))

    def _end_soon(self, client: Open, error: SessionError) -> None:
        """End a session without waiting for its client to take note."""
        ending = asyncio.create_task(client.end(error))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _end_lapsed(self) -> None:
        for client in self._leases.lapsed(time.monotonic()):
            lost = SessionError(
                CloseCode.LEASE_LOST, "lease.lost", "The platform could not be asked whether you may look on.", 1000
            )
            self._end_soon(client, lost)

    # Series.

    async def open_series(self, manifest: Manifest) -> tuple[Hashable, Series]:
        """Return the series of a manifest, opened once for all its sessions, and counted as used.

        Raises
        ------
        SessionError
            `study.too_large`, `pod.full`, `store.unavailable`, `pack.*`.
        """
        key = manifest.tenant_id, manifest.series_id, manifest.pack.object_id
        known = self._series.get(key)
        if known is not None:
            self.metrics.cache.labels("hit").inc()
            self.memory.use(key)
            return key, known
        if key in self._opening:
            series = await asyncio.shield(self._opening[key])
            self.memory.use(key)
            return key, series
        self.metrics.cache.labels("miss").inc()
        opening: asyncio.Future[Series] = asyncio.get_running_loop().create_future()
        self._opening[key] = opening
        try:
            pack = await self._open_pack(manifest)
            series = self._admit(key, pack, manifest)
        except BaseException as error:
            if isinstance(error, SessionError):
                opening.set_exception(error)
                opening.exception()
            else:
                opening.cancel()
            raise
        else:
            opening.set_result(series)
            return key, series
        finally:
            del self._opening[key]

    def leave_series(self, key: Hashable, close: CloseCode | None) -> None:
        """Count one user of a series less; nothing of it stays if the right to see it ended with its last user.

        Parameters
        ----------
        close
            What ended the session; None for its own client.
        """
        self.memory.leave(key, time.monotonic())
        if close in _RIGHT_GONE:
            self.memory.drop(key)

    async def _open_pack(self, manifest: Manifest) -> Pack:
        def open_pack() -> Pack:
            source = self.objects.open(manifest.pack)
            try:
                return Pack.open(source, damage=(ObjectCorruptError,))
            except BaseException:
                source.close()
                raise

        try:
            return await asyncio.wait_for(asyncio.to_thread(open_pack), _OPEN_TIMEOUT_S)
        except ImagingError as error:
            raise SessionError(CloseCode.FAILED, error.code, error.sentence) from error
        except ObjectCorruptError as error:
            raise SessionError(CloseCode.FAILED, "pack.corrupt", "The stored volume is damaged.") from error
        except (StorageError, OSError, TimeoutError) as error:
            log.warning("store_unavailable", kind=type(error).__name__)
            raise SessionError(
                CloseCode.BUSY, "store.unavailable", "The image store does not answer.", _RETRY_MS
            ) from error

    def _admit(self, key: Hashable, pack: Pack, manifest: Manifest) -> Series:
        has_segments = any(each.kind == "segmentation" for each in manifest.results)
        room = plan_room(pack.index, self.choice.engine, self.memory.bound_bytes, has_segments=has_segments)
        self.memory.admit(key, room.size_bytes, lambda: self._evict(key))
        series = Series(pack, self.choice.engine, room)
        self._series[key] = series
        return series

    def _evict(self, key: Hashable) -> None:
        self.metrics.evictions.inc()
        self._series.pop(key).close()
