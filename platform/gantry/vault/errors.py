"""What can go wrong in the vault. No message carries a key, a patient or a path."""

from __future__ import annotations

from gantry.kernel.errors import ErrorKind, GantryError


class VaultError(GantryError):
    """Root of the vault's errors."""

    code = "vault.error"
    kind = ErrorKind.UNAVAILABLE
    title = "The vault could not do this"


class VaultNotFoundError(VaultError):
    """No such object, key or tenant."""

    code = "vault.not_found"
    kind = ErrorKind.NOT_FOUND
    title = "Not found"


class VaultExistsError(VaultError):
    """An object of this name exists; objects are never overwritten."""

    code = "vault.exists"
    kind = ErrorKind.CONFLICT
    title = "This object exists already"


class VaultCorruptError(VaultError):
    """Stored bytes are not what was written, or were opened as something that they are not."""

    code = "vault.corrupt"
    title = "Stored data failed its integrity check"


class KeyDestroyedError(VaultError):
    """The key was destroyed on purpose; what it protected cannot be read by anybody."""

    code = "vault.key_destroyed"
    kind = ErrorKind.NOT_FOUND
    title = "This data has been erased"


class VaultUnavailableError(VaultError):
    """The store or key service did not answer, or refuses to serve in its present state."""

    code = "vault.unavailable"
    title = "Storage is not available"


class StoreFullError(VaultError):
    """No room is left for this write; nothing of it was kept."""

    code = "vault.full"
    title = "Storage is full"
