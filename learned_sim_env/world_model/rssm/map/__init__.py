"""The map: what of it is remembered on the ground, and how road that was not seen is imagined."""
