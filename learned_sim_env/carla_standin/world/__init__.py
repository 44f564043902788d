"""The stand-in's world: roads, lights, actors and how they move."""
