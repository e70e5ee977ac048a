"""Which object store a configuration means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gantry_storage.object_directory import DirectoryObjectStore
from gantry_storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where objects lie: "directory" needs `path`, "s3" needs `bucket`, with credentials from boto3's own chain."""

    kind: Literal["directory", "s3"]
    path: Path | None = None
    endpoint_url: str | None = None
    region: str | None = None
    bucket: str | None = None
    prefix: str = "objects"

    def __post_init__(self) -> None:
        if self.kind == "directory" and self.path is None:
            raise ValueError("objects in a directory need its path")
        if self.kind == "s3" and self.bucket is None:
            raise ValueError("objects in S3 need a bucket")


def open_store(config: StoreConfig) -> ObjectStore:
    """Return the store that a configuration describes; creates a directory, but no bucket.

    Raises
    ------
    StorageUnavailableError
        The directory belongs to somebody else or is open to others.
    """
    if config.kind == "directory":
        assert config.path is not None
        return DirectoryObjectStore(config.path)
    from gantry_storage.object_s3 import S3ObjectStore  # boto3 is loaded only where it is used
    from gantry_storage.s3 import build_client

    assert config.bucket is not None
    client = build_client("s3", region=config.region, endpoint_url=config.endpoint_url)
    return S3ObjectStore(client, config.bucket, config.prefix)
