"""What can go wrong where objects are kept. No message carries a key, a patient or a path."""

from __future__ import annotations

from typing import Literal


class StorageError(Exception):
    """Root of this package's errors.

    `code` is stable, `title` and the message are for people, and `kind` tells a transport what sort of answer it is.
    """

    code: str = "vault.error"
    kind: Literal["unavailable", "not_found", "conflict"] = "unavailable"
    title: str = "The vault could not do this"


class ObjectNotFoundError(StorageError):
    """There is no such object."""

    code = "vault.not_found"
    kind = "not_found"
    title = "Not found"


class ObjectExistsError(StorageError):
    """An object of this name exists; objects are never overwritten."""

    code = "vault.exists"
    kind = "conflict"
    title = "This object exists already"


class ObjectCorruptError(StorageError):
    """Stored bytes are not what was written, or were opened as something that they are not."""

    code = "vault.corrupt"
    title = "Stored data failed its integrity check"


class StorageUnavailableError(StorageError):
    """The store did not answer, or refuses to serve in its present state."""

    code = "vault.unavailable"
    title = "Storage is not available"


class StoreFullError(StorageError):
    """No room is left for this write; nothing of it was kept."""

    code = "vault.full"
    title = "Storage is full"
