"""The archive's writer: read back by the standard library and by `unzip` where there is one, whatever the sizes."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from gantry.oversight.exports.zipping import Deflated, Deflater, deflate, iter_archive

CONTENTS = {
    "empty": b"",
    "small.txt": b"a",
    "events/events.jsonl": b"line\n" * 100_000,
    "noise": os.urandom(300_000),
    "ü": b"x",
}


def archive() -> bytes:
    return b"".join(iter_archive([deflate(name, data) for name, data in CONTENTS.items()]))


def test_standard_library_reads_what_was_written() -> None:
    read = zipfile.ZipFile(io.BytesIO(archive()))
    assert read.testzip() is None
    assert {name: read.read(name) for name in read.namelist()} == CONTENTS


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not there")
def test_unzip_reads_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(archive())
    done = subprocess.run(["unzip", "-tq", "bundle.zip"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_equal_content_gives_equal_bytes() -> None:
    assert archive() == archive()


def test_digest_is_that_of_the_plain_bytes_in_whatever_pieces_they_come() -> None:
    class Nothing:
        def write(self, data: bytes) -> None:
            pass

    deflater = Deflater("x", Nothing())
    for start in range(0, 300_000, 777):
        deflater.write(CONTENTS["noise"][start : start + 777])
    member = deflater.close()
    assert (member.size_bytes, member.sha256) == (300_000, hashlib.sha256(CONTENTS["noise"]).hexdigest())


def test_sizes_beyond_four_gibibytes_are_written_down() -> None:
    """Only the headers are looked at: nobody writes 5 GiB in a test."""
    big = Deflated("big", 1, 5 << 30, 3, "")
    data = b"".join(iter_archive([(big, lambda: [b"abc"]), deflate("after", b"z")]))
    infos = {info.filename: info for info in zipfile.ZipFile(io.BytesIO(data)).infolist()}
    assert (infos["big"].file_size, infos["big"].compress_size) == (5 << 30, 3)
    assert infos["after"].header_offset > 0


def test_member_that_was_cut_short_is_noticed() -> None:
    member, _ = deflate("x", b"abc" * 100)
    with pytest.raises(ValueError, match="size"):
        list(iter_archive([(member, lambda: [b"ab"])]))
