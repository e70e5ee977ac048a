from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from gantry.vault.key_directory import DirectoryKeyStore
from gantry.vault.public import Vault
from gantry_storage.object_directory import DirectoryObjectStore
from gantry_storage.objects import ObjectName


@dataclass(frozen=True)
class Shelter:
    """A vault on disk, and the files it lies in, for tests that tamper with them."""

    vault: Vault
    keys_path: Path
    objects_path: Path
    tenant_id: UUID
    key_id: UUID

    def blob_path(self, name: ObjectName) -> Path:
        last = str(name.object_id)
        return self.objects_path / "blobs" / str(name.tenant_id) / last[:2] / last

    def key_path(self, key_id: UUID | None = None) -> Path:
        return self.keys_path / str(self.tenant_id) / "keys" / str(key_id or self.key_id)


def build_shelter(root: Path) -> Shelter:
    keys, objects = DirectoryKeyStore(root / "keys"), DirectoryObjectStore(root / "objects")
    tenant_id, key_id = uuid4(), uuid4()
    keys.create_tenant_key(tenant_id)
    keys.create_key(tenant_id, key_id)
    return Shelter(Vault(keys, objects), root / "keys", root / "objects", tenant_id, key_id)


@pytest.fixture
def shelter(tmp_path: Path) -> Shelter:
    return build_shelter(tmp_path)


@pytest.fixture(scope="module")
def shared_shelter(tmp_path_factory: pytest.TempPathFactory) -> Shelter:
    """One vault for a module: for property-based tests, which add objects and remove none."""
    return build_shelter(tmp_path_factory.mktemp("vault"))
