"""What the composition root may use of oversight."""

from gantry.oversight.duties.reminders import remind_of_duties
from gantry.oversight.exports.services import destroy_exports, list_object_ids
from gantry.oversight.portability.services import export_tenant, open_patient_export, stream_zip, write_file

__all__ = [
    "destroy_exports",
    "export_tenant",
    "list_object_ids",
    "open_patient_export",
    "remind_of_duties",
    "stream_zip",
    "write_file",
]
