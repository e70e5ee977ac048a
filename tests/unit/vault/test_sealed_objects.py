"""The sealed format: any range verifies alone, and nothing else than what was written ever comes out."""

from __future__ import annotations

import array
import hashlib
import pickle
import random
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.vault.public import (
    SealedObject,
    SealedReader,
    SealedWriter,
    Secret,
    Vault,
    VaultCorruptError,
    VaultNotFoundError,
)
from gantry_storage.objects import ObjectName, ObjectStore
from gantry_storage.sealed import CHUNK_BYTES, TAG_BYTES, stored_size

SMALL_CHUNK = 1024
HEADER_BYTES = stored_size(0) - TAG_BYTES


class Shelter(Protocol):
    @property
    def vault(self) -> Vault: ...
    @property
    def tenant_id(self) -> UUID: ...
    def blob_path(self, name: ObjectName) -> Path: ...


def seal(shelter: Shelter, data: bytes, chunk_bytes: int = SMALL_CHUNK) -> SealedObject:
    with SealedWriter(shelter.vault.objects, shelter.tenant_id, chunk_bytes=chunk_bytes) as writer:
        writer.write(data)
        return writer.commit()


def name_of(sealed: SealedObject) -> ObjectName:
    return ObjectName(sealed.tenant_id, sealed.object_id)


def read_all(store: ObjectStore, sealed: SealedObject, data_key: Secret | None = None) -> bytes:
    with SealedReader(store, name_of(sealed), data_key or sealed.data_key, sealed.size_bytes) as reader:
        return reader.read()


def place(shelter: Shelter, name: ObjectName, stored: bytes) -> None:
    """Put bytes where the store would have them, as somebody who can write the bucket might."""
    path = shelter.blob_path(name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(stored)


SIZES = [0, 1, SMALL_CHUNK - 1, SMALL_CHUNK, SMALL_CHUNK + 1, 3 * SMALL_CHUNK, 3 * SMALL_CHUNK + 17]


@pytest.mark.parametrize("size", SIZES)
def test_plaintext_returns_and_ciphertext_hides_it_when_sealed(shelter: Shelter, size: int) -> None:
    data = random.Random(size).randbytes(size)
    sealed = seal(shelter, data)
    assert read_all(shelter.vault.objects, sealed) == data
    assert (sealed.size_bytes, sealed.sha256) == (size, hashlib.sha256(data).hexdigest())
    stored = shelter.blob_path(name_of(sealed)).read_bytes()
    assert len(stored) == sealed.stored_bytes
    assert size < 16 or data[:16] not in stored


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=5000), st.integers(0, 6000), st.one_of(st.none(), st.integers(0, 6000)), st.data())
def test_range_equals_the_plain_slice_when_read_anywhere(
    shared_shelter: Shelter, data: bytes, offset: int, length: int | None, draw: st.DataObject
) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5)))
    with SealedWriter(shared_shelter.vault.objects, shared_shelter.tenant_id, chunk_bytes=SMALL_CHUNK) as writer:
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            writer.write(memoryview(data)[start:stop])
        sealed = writer.commit()
    expected = data[offset:] if length is None else data[offset : offset + length]
    with SealedReader(shared_shelter.vault.objects, name_of(sealed), sealed.data_key, sealed.size_bytes) as reader:
        assert reader.read(offset, length) == expected
        assert b"".join(reader.iter_chunks(offset, length)) == expected


def test_pieces_are_bounded_when_iterated_over_a_large_object(shelter: Shelter) -> None:
    data = random.Random(1).randbytes(3 * 1024 * 1024 + 5)
    sealed = seal(shelter, data, CHUNK_BYTES)
    with SealedReader(shelter.vault.objects, name_of(sealed), sealed.data_key, sealed.size_bytes) as reader:
        pieces = list(reader.iter_chunks(7))
    assert b"".join(pieces) == data[7:]
    assert max(map(len, pieces)) <= 1024 * 1024


def test_callers_buffer_may_be_reused_when_write_has_returned(shelter: Shelter) -> None:
    buffer = bytearray(b"a" * 1500)
    with SealedWriter(shelter.vault.objects, shelter.tenant_id, chunk_bytes=SMALL_CHUNK) as writer:
        writer.write(buffer)
        buffer[:] = b"b" * 1500
        writer.write(array.array("H", [0x6363] * 100))  # type: ignore[arg-type]  # any contiguous buffer serves
        sealed = writer.commit()
    assert read_all(shelter.vault.objects, sealed) == b"a" * 1500 + b"c" * 200


def test_reading_fails_when_any_single_bit_is_flipped(shelter: Shelter) -> None:
    sealed = seal(shelter, random.Random(2).randbytes(2500))
    path = shelter.blob_path(name_of(sealed))
    original = path.read_bytes()
    draw = random.Random(3)
    places = [*range(HEADER_BYTES), *(draw.randrange(len(original)) for _ in range(400)), len(original) - 1]
    for at in places:
        damaged = bytearray(original)
        damaged[at] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(VaultCorruptError):
            read_all(shelter.vault.objects, sealed)
    path.write_bytes(original)
    assert len(read_all(shelter.vault.objects, sealed)) == 2500


def test_damage_elsewhere_does_not_matter_when_a_range_is_read(shelter: Shelter) -> None:
    data = random.Random(4).randbytes(4 * SMALL_CHUNK)
    sealed = seal(shelter, data)
    path = shelter.blob_path(name_of(sealed))
    damaged = bytearray(path.read_bytes())
    damaged[HEADER_BYTES] ^= 1  # in chunk 0
    path.write_bytes(damaged)
    with SealedReader(shelter.vault.objects, name_of(sealed), sealed.data_key, sealed.size_bytes) as reader:
        assert reader.read(SMALL_CHUNK, 2000) == data[SMALL_CHUNK : SMALL_CHUNK + 2000]
        with pytest.raises(VaultCorruptError):
            reader.read(SMALL_CHUNK - 1, 2)


@pytest.mark.parametrize("chunks_kept", [0, 1, 2, 3])
@pytest.mark.parametrize("honest_length", [True, False])
def test_reading_fails_when_truncated_at_a_chunk_boundary(
    shelter: Shelter, chunks_kept: int, honest_length: bool
) -> None:
    sealed = seal(shelter, bytes(4 * SMALL_CHUNK))
    path = shelter.blob_path(name_of(sealed))
    path.write_bytes(path.read_bytes()[: HEADER_BYTES + chunks_kept * (SMALL_CHUNK + TAG_BYTES)])
    # A row that was shortened to match must not help: the last chunk is marked as such.
    size = sealed.size_bytes if honest_length else chunks_kept * SMALL_CHUNK
    with pytest.raises(VaultCorruptError):
        SealedReader(shelter.vault.objects, name_of(sealed), sealed.data_key, size).read()


def test_reading_fails_when_chunks_are_reordered_or_repeated(shelter: Shelter) -> None:
    sealed = seal(shelter, random.Random(5).randbytes(3 * SMALL_CHUNK))
    path = shelter.blob_path(name_of(sealed))
    stored = path.read_bytes()
    step = SMALL_CHUNK + TAG_BYTES
    header, chunks = stored[:HEADER_BYTES], [stored[HEADER_BYTES + i * step :][:step] for i in range(3)]
    for order in ([1, 0, 2], [0, 0, 2], [0, 2, 1], [2, 1, 0]):
        path.write_bytes(header + b"".join(chunks[i] for i in order))
        with pytest.raises(VaultCorruptError):
            read_all(shelter.vault.objects, sealed)


def test_reading_fails_when_another_tenant_object_or_key_is_claimed(shelter: Shelter) -> None:
    sealed = seal(shelter, b"a picture of somebody")
    stored = shelter.blob_path(name_of(sealed)).read_bytes()
    moved = [ObjectName(sealed.tenant_id, uuid4()), ObjectName(uuid4(), sealed.object_id)]
    for name in moved:
        place(shelter, name, stored)
        with pytest.raises(VaultCorruptError):
            SealedReader(shelter.vault.objects, name, sealed.data_key, sealed.size_bytes).read()
    with pytest.raises(VaultCorruptError):
        read_all(shelter.vault.objects, sealed, Secret.generate())
    assert read_all(shelter.vault.objects, sealed) == b"a picture of somebody"


def test_every_object_has_its_own_key_when_the_same_bytes_are_sealed_twice(shelter: Shelter) -> None:
    first, second = seal(shelter, b"same"), seal(shelter, b"same")
    assert first.data_key != second.data_key
    assert shelter.blob_path(name_of(first)).read_bytes() != shelter.blob_path(name_of(second)).read_bytes()


def test_nothing_is_visible_when_the_writer_is_left_without_commit(shelter: Shelter) -> None:
    with SealedWriter(shelter.vault.objects, shelter.tenant_id) as writer:
        writer.write(bytes(200_000))
    assert not shelter.vault.objects.exists(writer.name)
    with pytest.raises(ValueError, match="finished"):
        writer.write(b"more")
    with pytest.raises(ValueError, match="finished"):
        writer.commit()
    with pytest.raises(VaultNotFoundError):
        shelter.vault.objects.open(writer.name)


def test_key_does_not_show_when_printed_or_pickled() -> None:
    secret = Secret.generate()
    sealed = SealedObject(uuid4(), uuid4(), secret, 0, 0, "")
    for shown in (repr(secret), str(secret), f"{secret}", repr(sealed), repr(vars(Secret))):
        assert secret.reveal().hex() not in shown
        assert repr(secret.reveal()) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
