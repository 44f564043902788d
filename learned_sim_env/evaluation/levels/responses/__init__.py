"""Level 2 of the ladder: whether the dream answers to actions as its twin does."""
