"""Who drives: networks, scripted drivers and the simulator's own, by name, for many rows at once."""
