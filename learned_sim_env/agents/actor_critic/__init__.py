"""Actors and critics on a world model's features: their pieces, one a file, and the agents made of them."""
