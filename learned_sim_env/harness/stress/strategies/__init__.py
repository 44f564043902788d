"""Ways to perturb a drive, each a small class with a strength in [0, 1] and a seed."""
