"""Level 1 of the ladder: what is predicted against what was recorded."""
