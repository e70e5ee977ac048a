"""Rows of oversight, one subject a module."""

from gantry.oversight.models.duties import Incident, IncidentNotice, SubjectRequest, SubjectRequestStep
from gantry.oversight.models.exports import AuditExport, SyslogFeed

__all__ = [
    "AuditExport",
    "Incident",
    "IncidentNotice",
    "SubjectRequest",
    "SubjectRequestStep",
    "SyslogFeed",
]
