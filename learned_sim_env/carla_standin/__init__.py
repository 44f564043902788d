"""A stand-in for a CARLA 0.9.16 server: its wire protocol over a flat kinematic world, for tests without a GPU."""
