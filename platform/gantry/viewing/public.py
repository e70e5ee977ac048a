"""What other parts may use of viewing."""

from gantry.viewing.leases import forget_render_sessions

__all__ = ["forget_render_sessions"]
