"""The pixels of one series, shared by the sessions that look at it: what is asked for first, the rest behind it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from gantry_imaging.errors import ImagingError, PackError
from gantry_imaging.pack import Pack, PackIndex
from gantry_imaging.volume import Volume
from gantry_render.engine.port import Engine, Loaded
from gantry_render.server.frames import KeptFrames
from gantry_render.server.room import Room, is_previewed
from gantry_render.server.trouble import Trouble
from gantry_storage import ObjectCorruptError, StorageError

log = structlog.get_logger(__name__)

SLOW_AFTER_S: Final = 3.0
_RETRY_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_READERS: Final = 2


class Listener(Protocol):
    """Told, from any thread, that something of a series changed."""

    def __call__(self) -> None: ...


@dataclass(slots=True)
class _Status:
    """Guarded by the series' lock."""

    wanted: OrderedDict[int, float] = field(default_factory=OrderedDict)
    """Frames that somebody waits for, the newest last, with the time of asking."""
    reading: dict[int, float] = field(default_factory=dict)
    failed: dict[int, Trouble] = field(default_factory=dict)
    store: Trouble | None = None
    volume: Trouble | None = None
    """Why there is no volume although the series is one."""
    engine: Trouble | None = None
    is_closed: bool = False
    under_way: int = 0


class Series:
    """Decoded frames, the volume and what the engine made of it. Safe among threads.

    Parameters
    ----------
    pack
        Open; its index tells what there is.
    engine
        Draws the volume.
    room
        What of it was admitted; None for all.
    """

    def __init__(self, pack: Pack, engine: Engine, room: Room | None = None) -> None:
        self.index: PackIndex = pack.index
        self.room = room or Room(0)
        self._pack = pack
        self._engine = engine
        self._lock = threading.Condition()
        self._status = _Status(volume=self.room.refusal)
        self._listeners: list[Listener] = []
        self._frames = KeptFrames(self.room.frames_bytes)
        self._voxels: NDArray[Any] | None = None
        self._volume: Volume | None = None
        self._loaded: Loaded | None = None
        self._half_voxels: NDArray[Any] | None = None
        self._half: Volume | None = None
        self._half_loaded: Loaded | None = None
        self._engine_state = self._half_state = "idle"
        self._readers = ThreadPoolExecutor(_READERS, "read")
        self._loader: threading.Thread | None = None
        self._center = 0

    # What is there.

    def has(self, number: int) -> bool:
        """Whether a frame can be drawn now, or has failed for good."""
        return number in self._frames or number in self._status.failed

    def trouble(self, number: int) -> Trouble | None:
        """Return why a frame cannot be shown."""
        return self._status.failed.get(number)

    @property
    def store_trouble(self) -> Trouble | None:
        """What is wrong with the object store now."""
        return self._status.store

    @property
    def is_volume_ready(self) -> bool:
        """Whether planes can be drawn, as well as this pod will ever draw them."""
        return self._volume is not None or (self.room.is_reduced and self._half is not None)

    @property
    def is_volume_settled(self) -> bool:
        """Whether planes can be drawn, or never will be."""
        return self.is_volume_ready or self._status.volume is not None

    @property
    def is_engine_ready(self) -> bool:
        """Whether 3D can be drawn, or never will be."""
        is_drawn = self._loaded is not None or (self.room.is_reduced and self._half_loaded is not None)
        return is_drawn or self._status.engine is not None or self._status.volume is not None

    def can_draw(self, *, in_3d: bool, is_moving: bool) -> bool:
        """Whether planes or 3D can be drawn now, or never will be; what is missing is asked for.

        What moves is drawn from half of the resolution as long as the whole is not there.
        """
        if self.is_engine_ready if in_3d else self.is_volume_settled:
            return True
        if self._volume is not None:
            self.prepare_engine()
        else:
            self.load()
            self._prepare_half()
        preview = self._half_loaded if in_3d else self._half
        return is_moving and preview is not None

    def loaded_ranges(self) -> tuple[tuple[int, int], ...]:
        """Return runs of frames that are here: first and beyond."""
        with self._lock:
            return self._frames.runs()

    @contextmanager
    def frame(self, number: int) -> Iterator[NDArray[Any]]:
        """Lend a frame that is here: it is not overwritten meanwhile.

        Raises
        ------
        PackError
            The frame's own code where it cannot be shown; `pack.absent` where it is gone again.
        """
        with self._lock:
            failed = self._status.failed.get(number)
            if failed is not None:
                raise PackError(failed.code, failed.sentence)
            values = None if self._status.is_closed else self._frames.lend(number)
            if values is None:
                raise PackError("pack.absent", "The frame is not loaded.")
        try:
            yield values
        finally:
            with self._lock:
                self._frames.give_back(number)
                self._lock.notify_all()

    @contextmanager
    def volume(self) -> Iterator[Volume]:
        """Lend the volume.

        Raises
        ------
        PackError
            `pack.absent`.
        """
        with self._lent():
            if self._volume is None:
                trouble = self._status.volume or Trouble("pack.absent", "The volume is not loaded.")
                raise PackError(trouble.code, trouble.sentence)
            yield self._volume

    @contextmanager
    def shown(self) -> Iterator[tuple[Volume, bool]]:
        """Lend the volume, or what there is of it in half of the resolution, and say whether it is that.

        Raises
        ------
        PackError
            `pack.absent`.
        """
        with self._lent():
            volume = self._volume or self._half
            if volume is None:
                trouble = self._status.volume or Trouble("pack.absent", "The volume is not loaded.")
                raise PackError(trouble.code, trouble.sentence)
            yield volume, volume is not self._volume

    @contextmanager
    def drawn(self) -> Iterator[tuple[Loaded, bool]]:
        """Lend what the engine made of the volume, or of half of its resolution, and say whether it is that.

        Raises
        ------
        PackError
            `pack.absent`.
        """
        with self._lent():
            loaded = self._loaded or self._half_loaded
            if loaded is None:
                trouble = self._status.engine or self._status.volume
                trouble = trouble or Trouble("pack.absent", "The volume is not loaded.")
                raise PackError(trouble.code, trouble.sentence)
            yield loaded, loaded is not self._loaded

    # What is wanted.

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of changes."""
        self._listeners.append(listener)

    def stop_listening(self, listener: Listener) -> None:
        """Tell it no longer."""
        self._listeners.remove(listener)

    def want(self, number: int) -> None:
        """Read a frame before all others; those wanted last come first."""
        if not 0 <= number < len(self.index.frames):
            return
        with self._lock:
            status = self._status
            if number in self._frames or number in status.failed or number in status.reading or status.is_closed:
                return
            is_new = number not in status.wanted
            status.wanted[number] = status.wanted.get(number, time.monotonic())
            status.wanted.move_to_end(number)
            while len(status.wanted) > 64:
                status.wanted.popitem(last=False)
            self._center = number
        if is_new:
            self._readers.submit(self._read_wanted)

    def load(self) -> None:
        """Load everything in the background, once; a stack of huge frames is left to `want`."""
        with self._lock:
            if self._loader is not None or self.room.frames_bytes is not None or self._status.is_closed:
                return
            self._loader = threading.Thread(target=self._load_all, name="load", daemon=True)
        self._loader.start()

    def prepare_engine(self) -> None:
        """Hand the volume to the engine, once, in the background."""
        with self._lock:
            if self._engine_state != "idle" or self._volume is None or self._status.is_closed:
                return
            self._engine_state = "loading"
        self._readers.submit(self._load_engine)

    def _prepare_half(self) -> None:
        """Read half of the resolution, once, in the background, if it is to be had and of use."""
        with self._lock:
            is_of_use = self.room.is_reduced or (self.room.frames_bytes is None and is_previewed(self.index))
            if self._half_state != "idle" or not is_of_use or self._status.is_closed:
                return
            self._half_state = "loading"
        self._readers.submit(self._load_half)

    def waiting_s(self) -> float:
        """Return how long somebody has waited for a frame."""
        with self._lock:
            since = [*self._status.wanted.values(), *self._status.reading.values()]
        return time.monotonic() - min(since) if since else 0.0

    def close(self) -> None:
        """Stop loading; overwrite every pixel once nobody draws from it, and let go."""
        with self._lock:
            self._status.is_closed = True
            self._lock.notify_all()
        threading.Thread(target=self._wipe, name="wipe", daemon=True).start()

    # In threads.

    @contextmanager
    def _lent(self) -> Iterator[None]:
        with self._lock:
            if self._status.is_closed:
                raise PackError("pack.absent", "The series was closed.")
            self._status.under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._status.under_way -= 1
                self._lock.notify_all()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _read_wanted(self) -> None:
        with self._lock:
            if not self._status.wanted or self._status.is_closed:
                return
            number, asked_at = self._status.wanted.popitem()
            if number in self._frames:
                return
            self._status.reading[number] = asked_at
        try:
            values = self._retrying(lambda: self._pack.read_frame(number))
            if values is not None:
                self._keep(number, values)
        except ImagingError as error:
            self._fail(number, error)
        except Exception:
            log.exception("frame_not_read", frame=number)
            self._fail(number, PackError("pack.corrupt", f"Frame {number + 1} cannot be read."))
        finally:
            with self._lock:
                self._status.reading.pop(number, None)
        self._tell()

    def _keep(self, number: int, values: NDArray[Any]) -> None:
        with self._lock:
            if self._status.is_closed:
                values[...] = 0
            else:
                self._frames.keep(number, values)

    def _fail(self, number: int, error: ImagingError) -> None:
        with self._lock:
            self._status.failed[number] = Trouble(error.code, error.sentence, number)

    def _retrying(self, read: Callable[[], Any]) -> Any:
        """Call `read` until the store answers; None once the series was closed."""
        attempt = 0
        while True:
            try:
                result = read()
            except (StorageError, OSError) as error:
                if isinstance(error, ObjectCorruptError):
                    raise PackError("pack.corrupt", "A part of the stored volume is damaged.") from error
                with self._lock:
                    self._status.store = Trouble("store.unavailable", "The image store does not answer. Trying again.")
                self._tell()
                log.warning("store_unavailable", attempt=attempt, kind=type(error).__name__)
                with self._lock:
                    if self._lock.wait_for(lambda: self._status.is_closed, _RETRY_S[min(attempt, len(_RETRY_S) - 1)]):
                        return None
                attempt += 1
                continue
            if attempt:
                with self._lock:
                    self._status.store = None
                self._tell()
            return result

    def _load_all(self) -> None:
        with self._lock:
            # The frame that somebody waits for has the disk and the cores to itself.
            self._lock.wait_for(lambda: not self._status.wanted and not self._status.reading, 0.25)
        try:
            if self.index.kind == "volume":
                self._retrying(self._load_volume)
                # Room was admitted for it: a first picture in 3D need not wait.
                self.prepare_engine()
            else:
                self._load_stack()
        except PackError as error:
            if error.code != "pack.cancelled":
                log.warning("volume_not_loaded", code=error.code)
                self._status.volume = Trouble(error.code, error.sentence)
                self._load_stack()
        except Exception:
            log.exception("series_not_loaded")
            if self.index.kind == "volume":
                # Or a viewer of planes would wait for ever.
                self._status.volume = Trouble("volume.unavailable", "The volume cannot be loaded here. Open it again.")
        self._tell()

    def _load_volume(self) -> None:
        shape = self.index.shape_kji
        assert shape is not None
        if self._voxels is None:
            self._voxels = np.empty(shape, self.index.dtype)
        frames_alike = all(frame.value_type == self.index.dtype for frame in self.index.frames)

        def arrived(first: int, count: int, voxels: NDArray[Any]) -> None:
            if not frames_alike:
                return
            with self._lock:
                for number in range(first, first + count):
                    self._frames.replace(number, voxels[number])
            self._tell()

        volume = self._pack.load_volume(
            out=self._voxels, around=self._center, on_run=arrived, cancelled=lambda: self._status.is_closed
        )
        with self._lock:
            self._volume = volume
            if not frames_alike:
                for number in range(shape[0]):
                    self._frames.replace(number, self._voxels[number])
        self._tell()

    def _load_stack(self) -> None:
        count = len(self.index.frames)
        for number in sorted(range(count), key=lambda n: abs(n - self._center)):
            if self._status.is_closed:
                return
            if self.has(number):
                continue
            try:
                values = self._retrying(lambda at=number: self._pack.read_frame(at))  # type: ignore[misc]  # default
                if values is None:
                    return
                self._keep(number, values)
            except ImagingError as error:
                self._fail(number, error)
            self._tell()

    def _load_engine(self) -> None:
        started = time.monotonic()
        try:
            with self.volume() as volume:
                half = self._half
                loaded = self._engine.load(volume, None if half is None else half.voxels_kji)
        except ImagingError as error:
            log.warning("engine_refused", code=error.code)
            self._status.engine = Trouble(error.code, error.sentence)
            self._tell()
            return
        except Exception:
            log.exception("engine_failed")
            self._status.engine = Trouble("engine.unavailable", "The volume cannot be drawn here.")
            self._tell()
            return
        with self._lock:
            if self._status.is_closed:
                loaded.close()
                return
            self._loaded = loaded
        log.info("engine_loaded", ms=round(1000 * (time.monotonic() - started)))
        self._tell()

    def _load_half(self) -> None:
        try:
            voxels = self._half_voxels = np.empty(self.index.levels[0].shape_kji, self.index.dtype)
            half: Volume | None = self._retrying(lambda: self._pack.load_level(0, out=voxels))
            if half is None:
                return
            with self._lock:
                self._half = half
            self._tell()
            with self._lent():
                loaded = self._engine.load(half)
            with self._lock:
                self._half_loaded = loaded
        except ImagingError as error:
            log.warning("half_not_loaded", code=error.code)
            self._lack_half(Trouble(error.code, error.sentence))
        except Exception:
            log.exception("half_not_loaded")
            self._lack_half(Trouble("volume.unavailable", "The volume cannot be loaded here. Open it again."))
        self._tell()

    def _lack_half(self, trouble: Trouble) -> None:
        # Where the whole is to come, nobody misses a preview.
        if self.room.is_reduced:
            self._status.volume = trouble

    def _wipe(self) -> None:
        self._readers.shutdown(wait=True, cancel_futures=True)
        if self._loader is not None:
            self._loader.join()
        with self._lock:
            self._lock.wait_for(lambda: not self._frames.is_lent and not self._status.under_way)
            for loaded in (self._loaded, self._half_loaded):
                if loaded is not None:
                    loaded.close()
            if self._half_voxels is not None:
                self._half_voxels[...] = 0
            self._frames.wipe()
            if self._voxels is not None:
                self._voxels[...] = 0
            self._loaded = self._half_loaded = self._volume = self._half = None
            self._voxels = self._half_voxels = None
