"""What the composition root may use of oversight."""

from gantry.oversight.duties.reminders import remind_of_duties
from gantry.oversight.exports.services import destroy_exports, list_object_ids

__all__ = ["destroy_exports", "list_object_ids", "remind_of_duties"]
