"""Where checkpoints are copied to, out of the application's reach: written once, never changed or removed by us.

In production the place belongs to the sequencer alone: a volume that no other pod mounts, or a bucket prefix
whose policy lets the sequencer put and read, and nobody delete.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

_EXISTS: Final = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})


class CopyError(RuntimeError):
    """The place does not answer, or holds another checkpoint of this size."""


class CheckpointCopies(Protocol):
    """The copied checkpoints of all logs. A log's generation is 0 until a restore that lost events."""

    def put(self, log: UUID, generation: int, size: int, note: str) -> None:
        """Keep a checkpoint, durably; `CopyError` when another note of that size is there."""

    def newest(self, log: UUID, generation: int, *, at_most: int | None = None) -> str | None:
        """Return the largest checkpoint of a log, up to a size where one is given."""

    def logs(self) -> list[tuple[UUID, int]]:
        """Return the logs there are checkpoints of, each with its latest generation."""


def _path(size: int) -> tuple[str, str, str]:
    """Return where a size lies: no folder holds more than ten thousand names, and names sort as sizes do."""
    return f"{size // 10**8:012d}", f"{size // 10**4:016d}", f"{size:020d}"


class DirectoryCopies:
    """Checkpoints as files `<log>/<generation>/…/<size>` of mode 0400 below one private directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, log: UUID, generation: int, size: int, note: str) -> None:
        *shards, name = _path(size)
        folder = self.root.joinpath(str(log), str(generation), *shards)
        try:
            self._make(folder)
            draft = folder / f".{uuid4().hex}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(note)
                    file.flush()
                    os.fsync(file.fileno())
                try:
                    os.link(draft, folder / name)  # never over another
                except FileExistsError:
                    if (folder / name).read_text(encoding="utf-8") != note:
                        raise CopyError(f"Another checkpoint of size {size} is kept already.") from None
            finally:
                draft.unlink(missing_ok=True)
            _sync(folder)
        except OSError as error:
            raise CopyError(f"The place of the checkpoints cannot be written: {error.strerror}.") from error

    def newest(self, log: UUID, generation: int, *, at_most: int | None = None) -> str | None:
        limit = () if at_most is None else _path(at_most)
        try:
            found = _largest(self.root / str(log) / str(generation), limit, depth=3)
            return None if found is None else found.read_text(encoding="utf-8")
        except OSError as error:
            raise CopyError(f"The place of the checkpoints cannot be read: {error.strerror}.") from error

    def logs(self) -> list[tuple[UUID, int]]:
        try:
            return [
                (UUID(log), max(map(int, generations)))
                for log in _names(self.root)
                if (generations := _names(self.root / log))
            ]
        except OSError as error:
            raise CopyError(f"The place of the checkpoints cannot be read: {error.strerror}.") from error

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for parent in (folder, *folder.parents):
            _sync(parent)
            if parent == self.root:
                break


def _largest(folder: Path, limit: tuple[str, ...], *, depth: int) -> Path | None:
    for name in _names(folder):
        if limit and name > limit[0]:
            continue
        inner = limit[1:] if limit and name == limit[0] else ()
        found = folder / name if depth == 1 else _largest(folder / name, inner, depth=depth - 1)
        if found is not None:
            return found
    return None


def _names(folder: Path) -> list[str]:
    """Return what lies in a folder, largest first, without drafts."""
    if not folder.is_dir():
        return []
    return sorted((name for name in os.listdir(folder) if not name.startswith(".")), reverse=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class S3Copies:
    """Checkpoints as objects of a bucket, below a prefix. Object lock or a policy without delete belongs on it."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    def put(self, log: UUID, generation: int, size: int, note: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # ships no types

        key = self._folder(log, generation) + "/".join(_path(size))
        request = {"Bucket": self._bucket, "Key": key, "Body": note.encode(), "ContentType": "text/plain"}
        try:
            if self._read(key) is None:
                try:
                    self._client.put_object(**request, IfNoneMatch="*")
                except ClientError as error:
                    if error.response["Error"]["Code"] not in _EXISTS:
                        raise
            kept = self._read(key)
        except (BotoCoreError, ClientError) as error:
            raise CopyError(f"The place of the checkpoints cannot be written: {type(error).__name__}.") from error
        if kept != note:
            raise CopyError(f"Another checkpoint of size {size} is kept already.")

    def newest(self, log: UUID, generation: int, *, at_most: int | None = None) -> str | None:
        from botocore.exceptions import BotoCoreError, ClientError

        limit = () if at_most is None else _path(at_most)
        try:
            key = self._largest(self._folder(log, generation), limit, depth=3)
            return None if key is None else self._read(key)
        except (BotoCoreError, ClientError) as error:
            raise CopyError(f"The place of the checkpoints cannot be read: {type(error).__name__}.") from error

    def logs(self) -> list[tuple[UUID, int]]:
        return [
            (UUID(log), max(int(generation) for generation in self._folders(f"{self._prefix}{log}/")))
            for log in self._folders(self._prefix)
        ]

    def _largest(self, prefix: str, limit: tuple[str, ...], *, depth: int) -> str | None:
        names = self._folders(prefix) if depth > 1 else self._files(prefix)
        for name in sorted(names, reverse=True):
            if limit and name > limit[0]:
                continue
            if depth == 1:
                return prefix + name
            inner = limit[1:] if limit and name == limit[0] else ()
            if (found := self._largest(f"{prefix}{name}/", inner, depth=depth - 1)) is not None:
                return found
        return None

    def _folder(self, log: UUID, generation: int) -> str:
        return f"{self._prefix}{log}/{generation}/"

    def _read(self, key: str) -> str | None:
        from botocore.exceptions import ClientError

        try:
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        text: str = body.decode()
        return text

    def _folders(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        return [found["Prefix"][len(prefix) : -1] for page in pages for found in page.get("CommonPrefixes", ())]

    def _files(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [found["Key"][len(prefix) :] for page in pages for found in page.get("Contents", ())]


class MemoryCopies:
    """Checkpoints in memory, for tests."""

    def __init__(self) -> None:
        self.kept: dict[tuple[UUID, int, int], str] = {}

    def put(self, log: UUID, generation: int, size: int, note: str) -> None:
        if self.kept.setdefault((log, generation, size), note) != note:
            raise CopyError(f"Another checkpoint of size {size} is kept already.")

    def newest(self, log: UUID, generation: int, *, at_most: int | None = None) -> str | None:
        sizes = [key[2] for key in self.kept if key[:2] == (log, generation) and (at_most is None or key[2] <= at_most)]
        return self.kept[log, generation, max(sizes)] if sizes else None

    def logs(self) -> list[tuple[UUID, int]]:
        latest: dict[UUID, int] = {}
        for log, generation, _ in self.kept:
            latest[log] = max(generation, latest.get(log, 0))
        return list(latest.items())


def open_copies(place: str, *, endpoint_url: str = "", region: str = "") -> CheckpointCopies:
    """Return the copies in a directory, or in `s3://bucket/prefix`."""
    if not place.startswith("s3://"):
        return DirectoryCopies(Path(place))
    import boto3  # type: ignore[import-untyped]  # ships no types; loaded only where it is used
    from botocore.config import Config  # type: ignore[import-untyped]  # as above

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    bounded = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 3})
    client = boto3.client("s3", endpoint_url=endpoint_url or None, region_name=region or None, config=bounded)
    return S3Copies(client, bucket, prefix)
