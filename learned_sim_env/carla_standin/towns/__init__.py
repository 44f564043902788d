"""Test maps of our own, written as OpenDRIVE: a grid with lights and crosswalks, a ring with ramps and a roundabout."""

from learned_sim_env.carla_standin.towns.grid import grid_town
from learned_sim_env.carla_standin.towns.ring import ring_town

# Name -> the function that writes its OpenDRIVE text.
TOWNS = {"GridTown": grid_town, "RingTown": ring_town}
