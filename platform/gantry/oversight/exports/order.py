"""What bundle is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gantry.audit.public import Recorder
from gantry.oversight.exports.domain import ExportQuery, Format


@dataclass(frozen=True, slots=True)
class Order:
    """What bundle is wanted, by whom and for whom."""

    export_id: UUID
    tenant_id: UUID
    slug: str
    organisation: str
    requested_by: UUID
    requester: str
    role: str
    query: ExportQuery
    formats: frozenset[Format]
    made_at: datetime
    recorder: Recorder
