"""What the S3 adapters share: the client they need and what its failures mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # ships no types

from gantry_storage.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    StorageUnavailableError,
    StoreFullError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_FOUND: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
_EXISTS: Final = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
_FULL: Final = frozenset({"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
FAILURES: Final = (BotoCoreError, ClientError)
"""What a boto3 client raises."""


class S3Client(Protocol):
    """The operations of a boto3 S3 client that the store calls."""

    def put_object(self, **request: object) -> Mapping[str, Any]: ...

    def get_object(self, **request: object) -> Mapping[str, Any]: ...

    def head_object(self, **request: object) -> Mapping[str, Any]: ...

    def delete_object(self, **request: object) -> Mapping[str, Any]: ...

    def list_objects_v2(self, **request: object) -> Mapping[str, Any]: ...

    def get_bucket_versioning(self, **request: object) -> Mapping[str, Any]: ...

    def create_multipart_upload(self, **request: object) -> Mapping[str, Any]: ...

    def upload_part(self, **request: object) -> Mapping[str, Any]: ...

    def complete_multipart_upload(self, **request: object) -> Mapping[str, Any]: ...

    def abort_multipart_upload(self, **request: object) -> Mapping[str, Any]: ...

    def list_multipart_uploads(self, **request: object) -> Mapping[str, Any]: ...


def build_client(service: str, *, region: str | None, endpoint_url: str | None = None) -> Any:
    """Return a boto3 client with bounded waits and retries; credentials come from boto3's own chain."""
    import boto3  # type: ignore[import-untyped]  # ships no types; imported here: a third of a second
    from botocore.config import Config  # type: ignore[import-untyped]  # ships no types

    return boto3.Session().client(  # of its own: the default session is neither thread-safe nor renewed
        service,
        region_name=region,
        endpoint_url=endpoint_url,
        config=Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"total_max_attempts": 4, "mode": "standard"},
            max_pool_connections=32,
            # Every byte read is authenticated by AES-GCM; some servers also answer a range with the checksum
            # of the whole object, which boto3 would then find wrong.
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if endpoint_url else "auto"},
        ),
    )


def translate(error: Exception) -> StorageError:
    """Return the store's own error for one that a boto3 client raised."""
    code = _code(error)
    if code in _NOT_FOUND:
        return ObjectNotFoundError("There is no such object.")
    if code in _EXISTS:
        return ObjectExistsError("An object of this name exists already.")
    if code in _FULL:
        return StoreFullError("There is no room left in the object store.")
    return StorageUnavailableError(f"The object store did not do this ({code}).")


@contextlib.contextmanager
def translate_s3_errors() -> Iterator[None]:
    """Turn what a boto3 client raises into the store's own errors."""
    try:
        yield
    except FAILURES as error:
        raise translate(error) from error


def list_all(client: S3Client, **request: object) -> Iterator[Mapping[str, Any]]:
    """Yield every page of `list_objects_v2`."""
    token: dict[str, object] = {}
    while True:
        with translate_s3_errors():
            page = client.list_objects_v2(**request, **token)
        yield page
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def _code(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "unknown"))
    return type(error).__name__
