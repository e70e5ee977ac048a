"""Seeded CT phantoms with exact bone labels, and their export as a DICOM series."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from gantry_imaging.volume import Volume
from gantry_inference.phantom_anatomy import PARTS, Builder, Person
from gantry_inference.phantom_canvas import Canvas, Field
from gantry_inference.phantom_chest import paint_chest
from gantry_inference.phantom_pelvis import paint_pelvis

# Slices thicker than this are averaged from several sections, so that they blur slanted bone as real ones do.
_SECTION_MM = 2.2


@dataclass(frozen=True)
class ScannerProfile:
    """What a scanner and its protocol do to the picture.

    Parameters
    ----------
    sharpness_mm
        Full width at half maximum of the in-plane point spread.
    edge_boost
        Overshoot of a sharp kernel: 0 none, 0.5 strong.
    noise_hu
        Standard deviation in the middle of the body.
    noise_texture
        Where the noise spectrum peaks, as a fraction of Nyquist: 0.2 smooth, 0.8 sharp.
    bone_gain
        HU of mineral relative to 120 kVp: above 1 at lower tube voltage.
    streaks
        Strength of photon starvation and beam hardening between dense bones, about 0 to 1.
    """

    manufacturer: str = "Gantry Phantom Works"
    kernel: str = "B40f"
    kvp: float = 120.0
    sharpness_mm: float = 1.0
    edge_boost: float = 0.1
    noise_hu: float = 14.0
    noise_texture: float = 0.45
    bone_gain: float = 1.0
    streaks: float = 0.3

    @classmethod
    def random(cls, rng: np.random.Generator) -> "ScannerProfile":
        """Draw a scanner between low-dose smooth and sharp bone protocols."""
        sharp = float(rng.uniform(0, 1))
        kvp = float(rng.choice([80.0, 100.0, 120.0, 120.0, 140.0]))
        return cls(
            kernel=f"B{20 + 10 * round(6 * sharp)}f",
            kvp=kvp,
            sharpness_mm=1.7 - 1.1 * sharp + float(rng.normal(0, 0.08)),
            edge_boost=max(0.0, 0.55 * sharp - 0.15),
            noise_hu=float(np.clip(rng.lognormal(2.4 + 1.1 * sharp, 0.45), 4.0, 90.0)),
            noise_texture=0.2 + 0.5 * sharp,
            bone_gain={80.0: 1.3, 100.0: 1.14, 120.0: 1.0, 140.0: 0.92}[kvp] * float(rng.normal(1, 0.03)),
            streaks=float(rng.uniform(0.0, 1.0)),
        )


@dataclass(frozen=True)
class Phantom:
    """A phantom and what is in it.

    Parameters
    ----------
    volume
        HU as int16.
    bone_kji
        True where the voxel's centre (the majority of a thick slice) lies in bone.
    parts_kji
        Which bone, numbered by `PARTS`; 0 elsewhere.
    """

    volume: Volume
    bone_kji: NDArray[np.bool_]
    parts_kji: NDArray[np.uint8]


def generate_pelvis(
    seed: int,
    *,
    shape_kji: tuple[int, int, int] = (80, 512, 512),
    spacing_ijk_mm: tuple[float, float, float] = (0.86, 0.86, 2.5),
    scanner: ScannerProfile | None = None,
) -> Phantom:
    """Generate a pelvis with femora, sacrum and lumbar spine; the same seed gives the same voxels.

    Parameters
    ----------
    shape_kji, spacing_ijk_mm
        Grid in (slices, rows, columns) and voxel spacing along columns' index, rows' index and slices.
    scanner
        How it was scanned; drawn from the seed if None.
    """
    return _generate(seed, paint_pelvis, (-85.0, 165.0), shape_kji, spacing_ijk_mm, scanner)


def generate_chest(
    seed: int,
    *,
    shape_kji: tuple[int, int, int] = (80, 512, 512),
    spacing_ijk_mm: tuple[float, float, float] = (0.8, 0.8, 4.0),
    scanner: ScannerProfile | None = None,
) -> Phantom:
    """Generate a chest with spine, ribs, sternum, shoulders; parameters as `generate_pelvis`."""
    return _generate(seed + 1_000_003, paint_chest, (-145.0, 190.0), shape_kji, spacing_ijk_mm, scanner)


def _generate(
    seed: int,
    paint: Callable[[Builder], None],
    range_mm: tuple[float, float],
    shape_kji: tuple[int, int, int],
    spacing_ijk_mm: tuple[float, float, float],
    scanner: ScannerProfile | None,
) -> Phantom:
    rng = np.random.default_rng(seed)
    person = Person.random(rng)
    profile = scanner or ScannerProfile.random(rng)
    slices, rows, columns = shape_kji
    dx, dy, dz = spacing_ijk_mm
    # The scan covers the middle of the region, or a random part of it when it is shorter.
    slack = 0.5 * abs((range_mm[1] - range_mm[0]) - slices * dz)
    middle_z = 0.5 * (range_mm[0] + range_mm[1]) + rng.uniform(-1, 1) * slack
    if slices * dz > range_mm[1] - range_mm[0]:
        middle_z = 0.5 * (range_mm[0] + range_mm[1])
    centre = np.array([rng.normal(0, 8), rng.normal(10, 8), middle_z])
    first = centre - 0.5 * np.array([(columns - 1) * dx, (rows - 1) * dy, (slices - 1) * dz])
    sections = int(np.clip(np.ceil(dz / _SECTION_MM), 1, 3))
    offsets = (np.arange(sections) + 0.5) / sections - 0.5
    z = (first[2] + dz * (np.arange(slices)[:, None] + offsets[None, :])).ravel()
    canvas = Canvas(
        (first[0] + dx * np.arange(columns)).astype(np.float32),
        (first[1] + dy * np.arange(rows)).astype(np.float32),
        z.astype(np.float32),
        rng,
    )
    paint(Builder(canvas, person, rng))
    parts = _majority(canvas.parts_kji.reshape(slices, sections, rows, columns))
    hu = canvas.hu_kji.reshape(slices, sections, rows, columns).mean(axis=1)
    _scan(hu, profile, (dx, dy), rng)
    affine = np.diag([dx, dy, dz, 1.0])
    affine[:3, 3] = first
    voxels = np.rint(hu).astype(np.int16)
    return Phantom(Volume(voxels, affine), parts > 0, parts)


def _majority(sections_ksji: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the label of a slice where at least half of its sections are bone."""
    count = sections_ksji.shape[1]
    inside = (sections_ksji > 0).sum(axis=1) * 2 >= count
    labels: NDArray[np.uint8] = np.where(inside, sections_ksji.max(axis=1), 0).astype(np.uint8)
    return labels


def _scan(hu: Field, profile: ScannerProfile, pixel_mm: tuple[float, float], rng: np.random.Generator) -> None:
    """Turn painted into scanned HU in place: mineral gain, beam hardening, blur, noise, streaks."""
    rows, columns = hu.shape[1:]
    fy = np.fft.fftfreq(rows, pixel_mm[1]).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(columns, pixel_mm[0]).astype(np.float32)[None, :]
    radius = np.sqrt(fx**2 + fy**2)
    sigma = profile.sharpness_mm / 2.355
    spread = np.exp(-2 * (np.pi * sigma * radius) ** 2)
    response = spread * (1 + profile.edge_boost * 2.0 * (1 - np.exp(-((radius / 0.25) ** 2))))
    # Filtered back projection: the ramp against the kernel's roll-off.
    peak = profile.noise_texture * 0.5 / min(pixel_mm)
    spectrum = radius * np.exp(-((radius / (1.4 * peak)) ** 2)) + 0.03 * peak * np.exp(-((radius / peak) ** 2))
    weight = np.full(spectrum.shape, 2.0)
    weight[:, 0] = 1.0
    spectrum = (spectrum / np.sqrt((spectrum**2 * weight).sum() / (rows * columns))).astype(np.float32)
    for k in range(hu.shape[0]):
        image = hu[k]
        image = np.where(image > 100, 100 + (image - 100) * np.float32(profile.bone_gain), image)
        body = np.clip((image + 1000) / 1000, 0, 1.1)
        # Noise follows the attenuation around a pixel; dense rows (hips, shoulders) starve the detector.
        thickness = gaussian_filter(body[::4, ::4], 40 / pixel_mm[0] / 4).repeat(4, 0).repeat(4, 1)[:rows, :columns]
        dense = np.clip(image - 250, 0, 1500).sum(axis=1) * np.float32(pixel_mm[0] / 40000.0)
        dense = gaussian_filter1d(dense, 3.0 / pixel_mm[1])
        sigma_map = (
            np.float32(profile.noise_hu) * (np.float32(0.35) + thickness) * (1 + profile.streaks * dense[:, None])
        )
        white = rng.standard_normal(image.shape, dtype=np.float32)
        scanned = scipy.fft.irfft2(scipy.fft.rfft2(image) * response, s=image.shape)
        noise = scipy.fft.irfft2(scipy.fft.rfft2(white) * spectrum, s=image.shape)
        streak = gaussian_filter1d(rng.standard_normal(image.shape, dtype=np.float32), 25, axis=1) * np.float32(6.5)
        hardening = profile.streaks * 18.0 * dense[:, None] * thickness * body
        scanned += (
            sigma_map * noise + np.float32(profile.streaks * profile.noise_hu * 0.5) * dense[:, None] * streak * body
        )
        hu[k] = np.clip(scanned - hardening, -1024, 3071)


_RESCALE_INTERCEPT: Final = -1024


def write_ct_series(
    volume: Volume,
    folder: Path | None,
    *,
    patient_name: str = "Phantom^Pelvis",
    patient_id: str = "PHANTOM-1",
    patient_birth_date: date = date(1970, 1, 1),
    patient_sex: str = "O",
    study_date: date = date(2026, 1, 15),
    study_time: str = "093000",
    study_description: str = "CT Pelvis",
    series_description: str = "Phantom 120 kVp",
    series_number: int = 1,
    accession_number: str = "",
    body_part_examined: str = "PELVIS",
    referring_physician_name: str = "",
    institution_name: str = "",
    scanner: ScannerProfile | None = None,
    uid_root: str = "1.2.826.0.1.3680043.8.498.",
    seed: int = 0,
) -> list[Dataset]:
    """Write a volume in HU as a valid CT Image Storage series (PS3.3 A.3), Explicit VR Little Endian.

    Parameters
    ----------
    volume
        HU, its axes aligned with a right-handed image plane.
    folder
        Where `CT.<n>.dcm` files go, made if missing; None to write nothing.
    uid_root
        Root of all UIDs, which follow from `seed` and `series_number` alone.

    Returns
    -------
    list of Dataset
        One per slice, in slice order, with file meta information.
    """
    profile = scanner or ScannerProfile()

    def uid(*names: object) -> str:
        return str(generate_uid(prefix=uid_root, entropy_srcs=["gantry-phantom", str(seed), *map(str, names)]))

    study, series, frame = uid("study"), uid("series", series_number), uid("frame", series_number)
    slices, rows, columns = volume.shape_kji
    dx, dy, dz = (float(value) for value in volume.spacing_ijk_mm)
    datasets = []
    for k in range(slices):
        ds = Dataset()
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SOPClassUID = CTImageStorage
        ds.SOPInstanceUID = uid("instance", series_number, k)
        for name in ("Study", "Series", "Acquisition", "Content"):
            setattr(ds, f"{name}Date", study_date.strftime("%Y%m%d"))
            setattr(ds, f"{name}Time", study_time)
        ds.AccessionNumber = accession_number
        ds.Modality = "CT"
        ds.Manufacturer = profile.manufacturer
        ds.ManufacturerModelName = "Seeded phantom"
        ds.InstitutionName = institution_name
        ds.ReferringPhysicianName = referring_physician_name
        ds.StudyDescription, ds.SeriesDescription = study_description, series_description
        ds.PatientName, ds.PatientID = patient_name, patient_id
        ds.PatientBirthDate, ds.PatientSex = patient_birth_date.strftime("%Y%m%d"), patient_sex
        ds.BodyPartExamined, ds.PatientPosition = body_part_examined, "HFS"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.StudyID, ds.SeriesNumber = str(seed % 10**8), series_number
        ds.AcquisitionNumber, ds.InstanceNumber = 1, k + 1
        ds.PositionReferenceIndicator = ""
        ds.KVP, ds.ConvolutionKernel = f"{profile.kvp:g}", profile.kernel
        ds.SliceThickness = f"{dz:.6g}"
        _place(ds, volume, k, dx, dy)
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows, ds.Columns = rows, columns
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(_RESCALE_INTERCEPT), "1", "HU"
        ds.WindowCenter, ds.WindowWidth = ["40", "400"], ["400", "1800"]
        ds.WindowCenterWidthExplanation = ["SOFT TISSUE", "BONE"]
        stored = np.clip(volume.voxels_kji[k].astype(np.int32) - _RESCALE_INTERCEPT, 0, 4095)
        ds.PixelData = stored.astype("<u2").tobytes()
        ds["PixelData"].VR = "OW"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        datasets.append(ds)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            ds.save_as(folder / f"CT.{k + 1:04d}.dcm", enforce_file_format=True)
    return datasets


def _place(ds: Dataset, volume: Volume, k: int, dx: float, dy: float) -> None:
    """Write the Image Plane module (PS3.3 C.7.6.2) of slice `k`."""
    direction = volume.direction
    position = volume.lps_from_ijk[:3, :3] @ np.array([0.0, 0.0, k]) + volume.origin_lps_mm
    ds.ImagePositionPatient = [f"{value:.6f}" for value in position]
    ds.ImageOrientationPatient = [f"{value:.6f}" for value in (*direction[:, 0], *direction[:, 1])]
    ds.PixelSpacing = [f"{dy:.6g}", f"{dx:.6g}"]
    ds.SliceLocation = f"{position[2]:.6f}"


__all__ = ["PARTS", "Phantom", "ScannerProfile", "generate_chest", "generate_pelvis", "write_ct_series"]
