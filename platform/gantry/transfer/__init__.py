"""Sending studies to a Gantry from outside, over its public protocols. No Django in here."""
