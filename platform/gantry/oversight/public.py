"""What the composition root may use of oversight."""

__all__: list[str] = []
