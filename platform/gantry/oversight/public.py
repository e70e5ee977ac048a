"""What the composition root may use of oversight."""

from gantry.oversight.exports.services import destroy_exports, list_object_ids

__all__ = ["destroy_exports", "list_object_ids"]
