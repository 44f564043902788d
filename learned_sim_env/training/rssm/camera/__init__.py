"""Training of the world model of cameras: perception, then the painter."""
