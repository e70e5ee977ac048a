"""Rows of oversight, one subject a module."""

from gantry.oversight.models.exports import AuditExport, SyslogFeed

__all__ = ["AuditExport", "SyslogFeed"]
