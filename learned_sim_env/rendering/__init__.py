"""Scenes to pictures: the same drawing code for every simulator and for the dream."""

from __future__ import annotations

from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.rendering.palette import classes_of, colourise

__all__ = ["BevRenderer", "classes_of", "colourise"]
