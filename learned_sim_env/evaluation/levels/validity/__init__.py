"""Level 0 of the ladder: whether a model that runs freely stays a world."""
