"""Scenes to pictures: the same drawing code for every simulator and for the dream."""
