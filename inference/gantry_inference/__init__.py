"""Model cards, the runtimes that serve them, and what their results are written out as."""
