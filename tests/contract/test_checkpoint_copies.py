"""One contract for every place of the checkpoints: written once, found again, the largest first."""

from __future__ import annotations

import random
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from gantry.audit.copies import CheckpointCopies, CopyError, DirectoryCopies, MemoryCopies, S3Copies, open_copies
from s3_server import S3Server, set_credentials

LOG, OTHER = uuid4(), uuid4()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"), "checkpoints")
    yield server
    server.kill()


@pytest.fixture(params=["directory", "memory", "s3"])
def copies(request: pytest.FixtureRequest, tmp_path: Path, server: S3Server) -> CheckpointCopies:
    if request.param == "s3":
        return S3Copies(server.client(), "checkpoints", f"audit/{uuid4()}")
    return DirectoryCopies(tmp_path / "checkpoints") if request.param == "directory" else MemoryCopies()


def test_largest_is_found_among_many(copies: CheckpointCopies) -> None:
    sizes = [1, 9, 10, 9_999, 10_000, 10_001, 99_999_999, 100_000_000, 123_456_789_012]
    random.Random(1).shuffle(sizes)
    for size in sizes:
        copies.put(LOG, 0, size, f"note {size}")
    assert copies.newest(LOG, 0) == f"note {max(sizes)}"
    ordered = sorted(sizes)
    for smaller, larger in pairwise(ordered):
        assert copies.newest(LOG, 0, at_most=larger - 1) == f"note {smaller}"
        assert copies.newest(LOG, 0, at_most=larger) == f"note {larger}"
    assert copies.newest(LOG, 0, at_most=0) is None


def test_note_is_kept_once(copies: CheckpointCopies) -> None:
    copies.put(LOG, 0, 5, "note")
    copies.put(LOG, 0, 5, "note")
    with pytest.raises(CopyError):
        copies.put(LOG, 0, 5, "another")
    assert copies.newest(LOG, 0) == "note"


def test_logs_and_generations_are_apart(copies: CheckpointCopies) -> None:
    assert copies.newest(LOG, 0) is None
    assert copies.logs() == []
    copies.put(LOG, 0, 5, "a")
    copies.put(LOG, 1, 3, "b")
    copies.put(OTHER, 0, 1, "c")
    assert (copies.newest(LOG, 0), copies.newest(LOG, 1), copies.newest(OTHER, 0)) == ("a", "b", "c")
    assert sorted(copies.logs()) == sorted([(LOG, 1), (OTHER, 0)])


def test_directory_is_private_and_what_a_crash_left_is_passed_over(tmp_path: Path) -> None:
    root = tmp_path / "checkpoints"
    copies = DirectoryCopies(root)
    copies.put(LOG, 0, 5, "note")
    (file,) = [path for path in root.rglob("*") if path.is_file()]
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    file.with_name(f".{uuid4().hex}").write_text("half a no", encoding="utf-8")
    assert copies.newest(LOG, 0) == "note"


def test_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    copies = DirectoryCopies(tmp_path / "file")
    with pytest.raises(CopyError):
        copies.put(UUID(int=1), 0, 1, "note")


def test_bucket_is_opened_by_its_address(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)
    place = f"s3://checkpoints/{uuid4()}"
    open_copies(place, endpoint_url=server.url, region="eu-central-1").put(LOG, 0, 7, "note")
    assert open_copies(place, endpoint_url=server.url, region="eu-central-1").newest(LOG, 0) == "note"


def test_bucket_that_does_not_answer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)
    server = S3Server(tmp_path / "s3", "checkpoints")
    copies = S3Copies(server.client(), "checkpoints", "audit")
    server.kill()
    with pytest.raises(CopyError):
        copies.newest(LOG, 0)
    with pytest.raises(CopyError):
        copies.put(LOG, 0, 1, "note")
