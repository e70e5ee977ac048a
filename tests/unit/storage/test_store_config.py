"""A configuration names one store; what is missing is said before anything is opened."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from gantry_storage import ObjectName, SealedReader, SealedWriter, Secret, StoreConfig, open_store
from gantry_storage.errors import StorageError


def test_sealed_object_comes_back_when_opened_by_its_data_key_alone(tmp_path: Path) -> None:
    store, tenant_id = open_store(StoreConfig(kind="directory", path=tmp_path / "objects")), uuid4()
    with SealedWriter(store, tenant_id) as writer:
        writer.write(b"voxels")
        sealed = writer.commit()
    key = Secret(sealed.data_key.reveal())
    other = open_store(StoreConfig(kind="directory", path=tmp_path / "objects"))
    with SealedReader(other, ObjectName(tenant_id, sealed.object_id), key, sealed.size_bytes) as reader:
        assert reader.read(3, 3) == b"els"


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_store_is_refused_when_its_place_is_missing(kind: str) -> None:
    with pytest.raises(ValueError, match="need"):
        StoreConfig(kind=kind)  # type: ignore[arg-type]  # the words come from a table


def test_every_error_has_a_kind_that_transports_know() -> None:
    from gantry.kernel.errors import ErrorKind

    errors: list[type[StorageError]] = [StorageError, *StorageError.__subclasses__()]
    assert {error.kind for error in errors} <= {kind.value for kind in ErrorKind}
    assert len({error.code for error in errors}) == len(errors)
