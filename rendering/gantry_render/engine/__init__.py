"""Engines that draw scenes: one port, two adapters, and the parts that they are made of."""
