"""Keys in a directory of this machine: the embedded stack and single-site installations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from gantry.kernel.clock import SYSTEM_CLOCK, Clock
from gantry.vault.key_hierarchy import HierarchicalKeyStore, KeyPath, Shelf
from gantry_storage.files import PrivateTree, translate_os_errors


class DirectoryKeyStore(HierarchicalKeyStore):
    """Key store in a directory of mode 0700, outside the database and its backups.

    The KEK lies there as it is: who reads the directory reads everything, so it belongs on an encrypted
    disk. Nothing is cached: opening a key takes some tens of microseconds, and an erasure by any process
    holds at once for all. Zeros are written over a destroyed key, which a copy-on-write or flash medium may
    not do in place; rotating the tenant key afterwards puts the old blocks out of reach.
    """

    def __init__(self, path: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(DirectoryKeyFiles(path), _BareGuard(), cache_ttl_s=0.0, clock=clock)


class _BareGuard:
    """No protection beyond the directory's."""

    def seal(self, tenant_id: UUID, version: int, kek: bytes) -> bytes:
        return kek

    def open(self, tenant_id: UUID, version: int, sealed: bytes) -> bytes:
        return sealed


class DirectoryKeyFiles:
    """Key files below one private directory: `<tenant>/{tenant,keys,erased}/<name>`."""

    def __init__(self, path: Path) -> None:
        self._tree = PrivateTree(path)

    @contextmanager
    def exclusive(self, tenant_id: UUID) -> Iterator[None]:
        with translate_os_errors(), self._tree.lock(str(tenant_id)):
            yield

    def read(self, path: KeyPath) -> bytes | None:
        with translate_os_errors():
            return self._tree.read(*path.parts)

    def create(self, path: KeyPath, data: bytes) -> bool:
        with translate_os_errors():
            return self._tree.create(*path.parts, data=data)

    def replace(self, path: KeyPath, old: bytes, new: bytes) -> bool:
        with translate_os_errors():
            if self._tree.read(*path.parts) != old:
                return False
            self._tree.replace(*path.parts, data=new)
            return True

    def destroy(self, path: KeyPath) -> None:
        with translate_os_errors():
            self._tree.destroy(*path.parts)

    def names(self, tenant_id: UUID, shelf: Shelf) -> list[str]:
        with translate_os_errors():
            return self._tree.names(str(tenant_id), shelf.value)

    def tenants(self) -> list[UUID]:
        with translate_os_errors():
            return [UUID(name) for name in self._tree.names()]
