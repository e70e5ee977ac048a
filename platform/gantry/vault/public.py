"""What other apps may call."""

from gantry.vault.current import configure_vault, get_vault
from gantry.vault.errors import (
    KeyDestroyedError,
    StoreFullError,
    VaultCorruptError,
    VaultError,
    VaultExistsError,
    VaultNotFoundError,
    VaultUnavailableError,
)
from gantry.vault.keys import INSTALLATION, Deletion, Erasure, KeyReport, KeyStore, general_key_id
from gantry.vault.service import StoredRef, Vault, VaultConfig, build_vault
from gantry_storage.object_directory import DirectoryObjectStore
from gantry_storage.objects import BlobInfo, ObjectName, ObjectStore
from gantry_storage.sealed import SealedObject, SealedReader, SealedWriter
from gantry_storage.secret import Secret

__all__ = [
    "INSTALLATION",
    "BlobInfo",
    "Deletion",
    "DirectoryObjectStore",
    "Erasure",
    "KeyDestroyedError",
    "KeyReport",
    "KeyStore",
    "ObjectName",
    "ObjectStore",
    "SealedObject",
    "SealedReader",
    "SealedWriter",
    "Secret",
    "StoreFullError",
    "StoredRef",
    "Vault",
    "VaultConfig",
    "VaultCorruptError",
    "VaultError",
    "VaultExistsError",
    "VaultNotFoundError",
    "VaultUnavailableError",
    "build_vault",
    "configure_vault",
    "general_key_id",
    "get_vault",
]
