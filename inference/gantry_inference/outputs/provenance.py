"""Where a result comes from, and the identifiers that follow from it."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID

_NAMESPACE = uuid.UUID("8b1f6d2e-3a55-4f0c-9a0e-5f2f4b6c7d10")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a result, from which inputs in slice order. `created_at` has a time zone."""

    model: str
    version: str
    weights_sha256: str
    runtime: str
    runtime_version: str
    analysis_id: str
    study_revision: int
    input_sop_instance_uids: tuple[str, ...]
    created_at: dt.datetime

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None:
            raise ValueError("created_at needs a time zone.")

    @property
    def parameters(self) -> Mapping[str, str]:
        """The facts beyond name and version, for DICOM's free-text places."""
        return {
            "weights_sha256": self.weights_sha256,
            "runtime": f"{self.runtime} {self.runtime_version}",
            "analysis": self.analysis_id,
            "study_revision": str(self.study_revision),
            "inputs": str(len(self.input_sop_instance_uids)),
        }

    @property
    def sentence(self) -> str:
        """The same in one line, below the 1024 characters of a DICOM short text."""
        facts = "; ".join(f"{key} {value}" for key, value in self.parameters.items())
        return f"{self.model} {self.version}; {facts}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "model": self.model,
            "version": self.version,
            "weights_sha256": self.weights_sha256,
            "runtime": self.runtime,
            "runtime_version": self.runtime_version,
            "analysis_id": self.analysis_id,
            "study_revision": self.study_revision,
            "input_sop_instance_uids": list(self.input_sop_instance_uids),
            "created_at": self.created_at.isoformat(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Provenance":
        """Read what `to_json` wrote."""
        return cls(
            **{
                **document,
                "input_sop_instance_uids": tuple(document["input_sop_instance_uids"]),
                "created_at": dt.datetime.fromisoformat(document["created_at"]),
            }
        )


def uid_for(analysis_key: str, kind: str, index: int = 0) -> UID:
    """Return the UID that this analysis always gives to its `index`-th object of a kind.

    A retried analysis writes the same UIDs, so storing it twice is storing it once. UUID-derived under 2.25
    as in PS3.5 B.2, from a name-based UUID (RFC 9562 version 5).
    """
    name = "\0".join((analysis_key, kind, str(index)))
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, name).int}")


def tracking_uid(provenance: Provenance, segment_number: int) -> UID:
    """Return the Tracking UID that SEG, SR, STL and findings of one segment share."""
    return uid_for(provenance.analysis_id, "tracking", segment_number)


def device_uid(provenance: Provenance) -> UID:
    """Return the algorithm's Device UID: another one for every training, as IHE AIR asks."""
    return uid_for(provenance.weights_sha256, "device")
