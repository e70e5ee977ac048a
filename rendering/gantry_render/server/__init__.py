"""The render service: one WebSocket for one series of one viewing session, pictures out, states in."""
