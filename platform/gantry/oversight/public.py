"""What the composition root may use of oversight."""

from gantry.oversight.duties.reminders import remind_of_duties
from gantry.oversight.exports.feeding import list_object_ids, send_feeds
from gantry.oversight.exports.services import destroy_exports
from gantry.oversight.portability.services import export_tenant, open_patient_export, stream_zip, write_file

__all__ = [
    "destroy_exports",
    "export_tenant",
    "list_object_ids",
    "open_patient_export",
    "remind_of_duties",
    "send_feeds",
    "stream_zip",
    "write_file",
]
