"""Drivers by name, for many rows at once: networks, scripted drivers and the simulator's own."""
