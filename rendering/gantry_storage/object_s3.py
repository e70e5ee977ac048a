"""Objects in an S3 bucket."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID, uuid4

from gantry_storage.errors import ObjectExistsError, ObjectNotFoundError, StorageError
from gantry_storage.objects import BlobInfo, ObjectName
from gantry_storage.s3 import FAILURES, S3Client, list_all, translate, translate_s3_errors

PART_BYTES: Final = 8 * 1024 * 1024
"""A blob up to this size is one PUT; a larger one is sent in parts of it (S3 allows 10,000: 80 GiB)."""
_HEAD_BYTES: Final = 64 * 1024
_READ_ATTEMPTS: Final = 3
_WRITE_MARK: Final = "write"


class S3ObjectStore:
    """Object store in one bucket, `prefix/<tenant>/<object>`.

    Overwriting is refused by `If-None-Match: *`, which AWS, MinIO and Ceph honour, and by a look beforehand
    for servers that ignore it; on such a server two writers of one name at one moment are not told apart.
    Every write carries a mark of its own, so that a retry whose first answer was lost knows its own object.
    The bucket needs a lifecycle rule or `sweep_partials` for parts that a killed writer left.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str = "objects") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    def create(self, name: ObjectName) -> S3BlobWriter:
        return S3BlobWriter(self._client, self._at(name))

    def open(self, name: ObjectName) -> S3BlobReader:
        return S3BlobReader(self._client, self._at(name))

    def delete(self, name: ObjectName) -> None:
        with translate_s3_errors():
            self._client.delete_object(**self._at(name))

    def exists(self, name: ObjectName) -> bool:
        return _head(self._client, self._at(name)) is not None

    def list(self, tenant_id: UUID | None = None) -> Iterator[BlobInfo]:
        prefix = self._prefix if tenant_id is None else f"{self._prefix}{tenant_id}/"
        for page in list_all(self._client, Bucket=self._bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                tenant, _, last = entry["Key"].removeprefix(self._prefix).partition("/")
                name = ObjectName(UUID(tenant), UUID(last))
                yield BlobInfo(name, entry["Size"], entry["LastModified"].astimezone(UTC))

    def sweep_partials(self, older_than: timedelta) -> int:
        oldest = datetime.fromtimestamp(time.time(), UTC) - older_than
        swept = 0
        for upload in list(self._uploads()):
            if _aware(upload["Initiated"]) <= oldest:
                with translate_s3_errors():
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                swept += 1
        return swept

    def _uploads(self) -> Iterator[Mapping[str, Any]]:
        marker: dict[str, object] = {}
        while True:
            with translate_s3_errors():
                page = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._prefix, **marker)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _at(self, name: ObjectName) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{name}"}


class S3BlobWriter:
    """Collects parts; memory holds at most one."""

    def __init__(self, client: S3Client, at: dict[str, str]) -> None:
        self._client = client
        self._at = at
        self._mark = uuid4().hex
        self._part = bytearray()
        self._upload_id: str | None = None
        self._etags: list[dict[str, object]] = []
        self._finished = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._require_open()
        view = memoryview(data).cast("B")
        while len(self._part) + len(view) > PART_BYTES:
            room = PART_BYTES - len(self._part)
            self._part += view[:room]
            view = view[room:]
            self._send_part()
        self._part += view

    def commit(self) -> None:
        self._require_open()
        try:
            if self._upload_id is None:
                self._refuse_existing()
                self._finish(self._client.put_object, Body=self._part, Metadata={_WRITE_MARK: self._mark})
            else:
                self._send_part()
                parts = {"Parts": self._etags}
                self._finish(self._client.complete_multipart_upload, UploadId=self._upload_id, MultipartUpload=parts)
        except BaseException:
            self.abort()
            raise
        self._finished = True
        self._part = bytearray()

    def abort(self) -> None:
        if self._finished:
            return
        self._finished = True
        self._part = bytearray()
        if self._upload_id is not None:
            with contextlib.suppress(*FAILURES):  # the server is gone; its parts are swept later
                self._client.abort_multipart_upload(**self._at, UploadId=self._upload_id)

    def _require_open(self) -> None:
        if self._finished:
            raise ValueError("the blob is finished")

    def _send_part(self) -> None:
        with translate_s3_errors():
            if self._upload_id is None:
                self._refuse_existing()
                begun = self._client.create_multipart_upload(**self._at, Metadata={_WRITE_MARK: self._mark})
                self._upload_id = str(begun["UploadId"])
            number = len(self._etags) + 1
            sent = self._client.upload_part(**self._at, UploadId=self._upload_id, PartNumber=number, Body=self._part)
        # The checksum is repeated because a bucket may ask for it on completion.
        checksums = {key: value for key, value in sent.items() if key.startswith("ChecksumCRC")}
        self._etags.append({"ETag": sent["ETag"], "PartNumber": number, **checksums})
        self._part = bytearray()

    def _finish(self, call: Any, **request: object) -> None:
        try:
            call(**self._at, **request, IfNoneMatch="*")
        except FAILURES as error:
            failure = translate(error)
            if isinstance(failure, ObjectExistsError | ObjectNotFoundError) and self._is_mine():
                return  # the first attempt got through and its answer was lost
            raise failure from error

    def _refuse_existing(self) -> None:
        if _head(self._client, self._at) is not None:
            raise ObjectExistsError("An object of this name exists already.")

    def _is_mine(self) -> bool:
        head = _head(self._client, self._at) or {}
        marks = {key.lower(): value for key, value in head.get("Metadata", {}).items()}
        return marks.get(_WRITE_MARK) == self._mark


class S3BlobReader:
    """One request finds the blob, its size and its first 64 KiB; ranges beyond those are one request each."""

    def __init__(self, client: S3Client, at: dict[str, str]) -> None:
        self._client = client
        self._at = at
        try:
            self._head, total = self._get(0, _HEAD_BYTES)
        except StorageError as error:
            if not _is_empty_range(error):
                raise
            self._head, total = b"", 0
        self.size: int = total

    def read_range(self, offset: int, length: int) -> bytes:
        wanted = max(0, min(length, self.size - offset))
        if offset + wanted <= len(self._head):
            return self._head[offset : offset + wanted]
        return self._get(offset, wanted)[0] if wanted else b""

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, offset: int, length: int) -> tuple[bytes, int]:
        """Return the bytes of a range and the size of the whole blob."""
        span = f"bytes={offset}-{offset + length - 1}"
        for attempts_left in reversed(range(_READ_ATTEMPTS)):
            with translate_s3_errors():
                answer = self._client.get_object(**self._at, Range=span)
            total = int(str(answer["ContentRange"]).rpartition("/")[2])
            try:
                return answer["Body"].read(), total
            except FAILURES as error:  # boto3 retries a request, but not a body that breaks off
                if not attempts_left:
                    raise translate(error) from error
        raise AssertionError("unreachable")


def _head(client: S3Client, at: dict[str, str]) -> Mapping[str, Any] | None:
    try:
        with translate_s3_errors():
            return client.head_object(**at)
    except ObjectNotFoundError:
        return None


def _is_empty_range(error: StorageError) -> bool:
    """Tell whether a range was refused because the blob is empty (416)."""
    answer = getattr(error.__cause__, "response", {})
    return answer.get("Error", {}).get("Code") in ("InvalidRange", "416")


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
