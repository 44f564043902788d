"""A world model of cameras: a bird's-eye state seen by them, and pictures painted from it by calibrated geometry."""
