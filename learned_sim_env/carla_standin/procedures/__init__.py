"""CARLA's remote procedures, which clients call by name."""
