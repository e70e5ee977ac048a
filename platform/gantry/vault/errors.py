"""What can go wrong in the vault. No message carries a key, a patient or a path.

Keys fail in the same ways as the objects that they open, so the errors of the object store are the vault's own.
"""

from __future__ import annotations

from gantry_storage.errors import (
    ObjectCorruptError,
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    StorageUnavailableError,
    StoreFullError,
)

VaultError = StorageError
VaultNotFoundError = ObjectNotFoundError
VaultExistsError = ObjectExistsError
VaultCorruptError = ObjectCorruptError
VaultUnavailableError = StorageUnavailableError

__all__ = [
    "KeyDestroyedError",
    "StoreFullError",
    "VaultCorruptError",
    "VaultError",
    "VaultExistsError",
    "VaultNotFoundError",
    "VaultUnavailableError",
]


class KeyDestroyedError(VaultError):
    """The key was destroyed on purpose; what it protected cannot be read by anybody."""

    code = "vault.key_destroyed"
    kind = "not_found"
    title = "This data has been erased"
