"""CT phantoms as DICOM files, each study somebody else's."""

from __future__ import annotations

import functools
import itertools
import secrets
from dataclasses import dataclass

from ct_files import to_files
from gantry_imaging.volume import Volume
from gantry_inference.phantoms import generate_pelvis, write_ct_series

_BOUNDARY = "gantry-phantom-boundary"
#: Another start for each run: two runs may look at one stack.
_seeds = itertools.count(secrets.randbelow(10**9))

CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'


@dataclass(frozen=True)
class PhantomStudy:
    """A study that no stack has seen yet."""

    study_uid: str
    patient_id: str
    files: tuple[bytes, ...]

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        return sum(map(len, self.files))


@functools.cache
def _volume(slices: int) -> Volume:
    return generate_pelvis(7, shape_kji=(slices, 512, 512)).volume


def make_study(slices: int) -> PhantomStudy:
    """Return a new patient with one CT series of `slices` images of 512 by 512."""
    seed = next(_seeds)
    patient_id = f"P-{seed}"
    datasets = write_ct_series(
        _volume(slices),
        None,
        patient_id=patient_id,
        patient_name=f"Phantom^{seed}",
        accession_number=f"A-{seed}",
        seed=seed,
    )
    return PhantomStudy(str(datasets[0].StudyInstanceUID), patient_id, tuple(to_files(datasets)))


def multipart(files: tuple[bytes, ...]) -> bytes:
    """Return files as a multipart/related body of `CONTENT_TYPE` (PS3.18 §8.6.1.2)."""
    head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + one + b"\r\n" for one in files) + f"--{_BOUNDARY}--\r\n".encode()
