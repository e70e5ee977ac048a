"""A volume pack in either store: written in parts, read by range from several threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from ct_files import make_ct, to_files
from gantry_imaging.pack import Pack, write_pack
from gantry_storage import (
    ObjectCorruptError,
    ObjectName,
    ObjectStore,
    SealedReader,
    SealedWriter,
    StoreConfig,
    open_store,
)
from gantry_storage.object_s3 import PART_BYTES
from pack_bytes import instances
from s3_server import S3Server, set_credentials

SIDE, SLICES = 256, 96


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    if request.param == "directory":
        yield open_store(StoreConfig(kind="directory", path=tmp_path / "objects"))
        return
    set_credentials(monkeypatch)
    server = S3Server(tmp_path, "objects")
    try:
        yield open_store(StoreConfig(kind="s3", bucket="objects", endpoint_url=server.url, region="us-east-1"))
    finally:
        server.kill()


def test_volume_is_whole_when_loaded_by_range_on_several_threads(store: ObjectStore) -> None:
    voxels = np.random.default_rng(3).integers(-30_000, 30_000, (SLICES, SIDE, SIDE)).astype(np.int16)
    files = to_files(
        [
            one
            for k, plane in enumerate(voxels)
            for one in make_ct(1, Rows=SIDE, Columns=SIDE, ImagePositionPatient=[0, 0, k], PixelData=plane.tobytes())
        ]
    )
    with SealedWriter(store, uuid4()) as writer:
        write_pack(writer, instances(files))
        sealed = writer.commit()
    assert sealed.stored_bytes > PART_BYTES
    name = ObjectName(sealed.tenant_id, sealed.object_id)
    with SealedReader(store, name, sealed.data_key, sealed.size_bytes) as reader:
        pack = Pack.open(reader, damage=(ObjectCorruptError,))
        np.testing.assert_array_equal(pack.read_frame(50), voxels[50])
        np.testing.assert_array_equal(pack.load_volume(threads=4).voxels_kji, voxels)
