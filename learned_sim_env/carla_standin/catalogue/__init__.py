"""The blueprints of CARLA 0.9.16 by kind: ids, attributes with their defaults, and sizes as measured there."""
