"""Sealed objects: immutable ciphertext in a directory or in S3, of which any byte range can be read and verified.

Knows no key but the data key it is handed: whose key opens what is `gantry.vault`'s to say. Shared by the control
plane and by render pods, which are given the data keys of one series at a time.
"""

from gantry_storage.errors import (
    ObjectCorruptError,
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    StorageUnavailableError,
    StoreFullError,
)
from gantry_storage.objects import BlobInfo, BlobReader, BlobWriter, ObjectName, ObjectStore
from gantry_storage.sealed import SealedObject, SealedReader, SealedWriter
from gantry_storage.secret import Secret
from gantry_storage.store import StoreConfig, open_store

__all__ = [
    "BlobInfo",
    "BlobReader",
    "BlobWriter",
    "ObjectCorruptError",
    "ObjectExistsError",
    "ObjectName",
    "ObjectNotFoundError",
    "ObjectStore",
    "SealedObject",
    "SealedReader",
    "SealedWriter",
    "Secret",
    "StorageError",
    "StorageUnavailableError",
    "StoreConfig",
    "StoreFullError",
    "open_store",
]
