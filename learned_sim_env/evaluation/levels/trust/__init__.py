"""Level 4 of the ladder: whether the uncertainty says when not to trust."""
