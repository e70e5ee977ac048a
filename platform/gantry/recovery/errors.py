"""What can go wrong with backups. Each message is a sentence that says what to do."""

from __future__ import annotations


class RecoveryError(Exception):
    """A backup or a restore cannot go on; nothing was left half-done."""
