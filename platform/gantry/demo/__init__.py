"""The demo tenants of an embedded stack. Never part of a production deployment."""
