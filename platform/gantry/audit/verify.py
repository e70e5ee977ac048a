"""Placeholder until the stand-alone verifier is here."""
