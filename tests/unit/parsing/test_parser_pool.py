"""The pool survives what kills its parsers, and blames the right file."""

import asyncio
import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gantry.studies.parsing.limits import ParserLimits
from gantry.studies.parsing.memfile import MemFile, MemFileFullError
from gantry.studies.parsing.model import ParsedInstance, Rejection
from gantry.studies.parsing.pool import ParserPool
from hostile_dicom import BEFORE_PIXELS, DEFLATED, body, deflate, file

SOUND = file(body())
# Elements without value, which cost time and nothing else: about two microseconds each.
SLOW = file(BEFORE_PIXELS + struct.pack("<HH2sH", 0x0011, 0x0010, b"LO", 0) * 8_000_000)
MANY = 50_000_000


def memory_of(data: bytes) -> MemFile:
    memory = MemFile(1 << 30)
    memory.write(data)
    return memory


@pytest.fixture
def files() -> Iterator[Callable[..., list[MemFile]]]:
    held: list[MemFile] = []

    def make(*contents: bytes) -> list[MemFile]:
        held.extend(made := [memory_of(data) for data in contents])
        return made

    yield make
    for memory in held:
        memory.close()


def codes(outcomes: list[ParsedInstance | Rejection]) -> list[str | None]:
    return [outcome.code if isinstance(outcome, Rejection) else None for outcome in outcomes]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def children_here() -> list[int]:
    return [
        child
        for task in Path("/proc/self/task").iterdir()
        for child in map(int, (task / "children").read_text().split())
    ]


def wait_for_parser(zygotes: list[int]) -> int:
    """Return the process that parses, once it has been at it for a moment."""
    while True:
        for zygote in zygotes:
            for child in children_of(zygote):
                ticks = int(Path(f"/proc/{child}/stat").read_text(encoding="ascii").split()[13])
                if ticks > 20:
                    return child
        time.sleep(0.01)  # a condition of another process, which cannot be awaited


def pool_with_zygotes(limits: ParserLimits, processes: int = 1) -> tuple[ParserPool, list[int]]:
    before = set(children_here())
    pool = ParserPool(limits, processes=processes)
    pool.confinement()
    return pool, [child for child in children_here() if child not in before]


def test_only_the_slow_file_is_rejected_when_it_runs_out_of_time(files: Callable[..., list[MemFile]]) -> None:
    with ParserPool(ParserLimits(max_elements=MANY, wall_s_per_file=1.0), processes=1) as pool:
        outcomes = pool.parse_batch_sync(files(SOUND, SLOW, SOUND, SOUND))
    assert codes(outcomes) == [None, "dicom.parser_timeout", None, None]


def test_only_the_slow_file_is_rejected_when_it_runs_out_of_processor(
    files: Callable[..., list[MemFile]],
) -> None:
    with ParserPool(ParserLimits(max_elements=MANY, cpu_s_per_file=1, wall_s_per_file=60.0), processes=1) as pool:
        outcomes = pool.parse_batch_sync(files(SLOW, SOUND))
    assert codes(outcomes) == ["dicom.parser_timeout", None]


def test_only_the_greedy_file_is_rejected_when_it_runs_out_of_memory(
    files: Callable[..., list[MemFile]],
) -> None:
    large = file(deflate(BEFORE_PIXELS + os.urandom(1 << 20) * 24, level=1), DEFLATED)
    limits = ParserLimits(memory_bytes=16 << 20)
    with ParserPool(limits, processes=1) as pool:
        outcomes = pool.parse_batch_sync(files(SOUND, large, SOUND))
    assert codes(outcomes) == [None, "dicom.parser_memory", None]


@pytest.mark.parametrize(
    ("blow", "code"),
    [
        (signal.SIGSEGV, "dicom.parser_crashed"),
        (signal.SIGABRT, "dicom.parser_crashed"),
        (signal.SIGKILL, "dicom.parser_memory"),  # nobody but the kernel kills so, and for memory
    ],
)
def test_only_the_file_in_hand_is_rejected_when_its_parser_dies(
    files: Callable[..., list[MemFile]], blow: signal.Signals, code: str
) -> None:
    pool, zygotes = pool_with_zygotes(ParserLimits(max_elements=MANY, wall_s_per_file=60.0, cpu_s_per_file=60))
    with pool:
        killer = threading.Thread(target=lambda: os.kill(wait_for_parser(zygotes), blow))
        killer.start()
        outcomes = pool.parse_batch_sync(files(SOUND, SLOW, SOUND))
        killer.join()
    assert codes(outcomes) == [None, code, None]


def test_batch_ends_and_the_next_is_parsed_when_the_fork_server_dies(
    files: Callable[..., list[MemFile]],
) -> None:
    pool, zygotes = pool_with_zygotes(ParserLimits(max_elements=MANY, wall_s_per_file=60.0, cpu_s_per_file=60))

    def kill() -> None:
        wait_for_parser(zygotes)
        os.kill(zygotes[0], signal.SIGKILL)

    with pool:
        killer = threading.Thread(target=kill)
        killer.start()
        outcomes = pool.parse_batch_sync(files(SOUND, SLOW, SOUND))
        killer.join()
        assert codes(outcomes) == [None, "dicom.parser_crashed", None]
        assert codes(pool.parse_batch_sync(files(SOUND))) == [None]


def test_files_not_reached_are_rejected_when_the_batch_takes_too_long(
    files: Callable[..., list[MemFile]],
) -> None:
    limits = ParserLimits(max_elements=MANY, wall_s_per_file=0.5, wall_s_per_batch=0.7)
    with ParserPool(limits, processes=1) as pool:
        outcomes = pool.parse_batch_sync(files(SLOW, SLOW, SLOW, SOUND))
    assert codes(outcomes) == ["dicom.parser_timeout"] * 4


def test_no_process_is_left_when_the_pool_is_closed() -> None:
    pool, zygotes = pool_with_zygotes(ParserLimits(), processes=2)
    assert len(zygotes) == 2
    pool.close()
    assert not any(Path(f"/proc/{zygote}").exists() for zygote in zygotes)


async def test_batches_run_side_by_side_when_they_are_awaited(files: Callable[..., list[MemFile]]) -> None:
    with ParserPool(processes=2) as pool:
        batches = await asyncio.gather(*(pool.parse_batch(files(*[SOUND] * 20)) for _ in range(5)))
    assert [codes(batch) for batch in batches] == [[None] * 20] * 5


async def test_descriptors_are_not_used_after_the_caller_gave_up() -> None:
    with ParserPool(ParserLimits(max_elements=MANY, wall_s_per_file=0.5), processes=1) as pool:
        memory = memory_of(SLOW)
        task = asyncio.create_task(pool.parse_batch([memory]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        memory.close()
        assert codes(await pool.parse_batch([])) == []


def test_batch_of_five_hundred_is_split_when_it_is_larger_than_a_message() -> None:
    with ParserPool(processes=1) as pool:
        batch = [memory_of(SOUND) for _ in range(500)]
        assert codes(pool.parse_batch_sync(batch)) == [None] * 500
        for memory in batch:
            memory.close()


def test_memory_file_refuses_when_it_would_grow_beyond_its_bound() -> None:
    with MemFile(10) as memory:
        memory.write(b"12345")
        with pytest.raises(MemFileFullError):
            memory.write(b"123456")
        assert (memory.size, bytes(memory.view())) == (5, b"12345")


def test_memory_file_cannot_be_changed_when_it_was_seen_by_others() -> None:
    with memory_of(SOUND) as memory:
        descriptor = memory.fileno()
        with pytest.raises(ValueError, match="sealed"):
            memory.write(b"x")
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
        assert bytes(memory.view()) == SOUND


def test_view_stays_good_when_the_file_is_closed() -> None:
    memory = memory_of(SOUND)
    view = memory.view()
    memory.close()
    assert bytes(view) == SOUND
