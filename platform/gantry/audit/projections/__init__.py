"""The ledger's events as others read them: pure functions from an event and names to bytes."""
