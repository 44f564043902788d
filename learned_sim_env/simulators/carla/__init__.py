"""CARLA as a source of scenes, through its own client. CARLA is left-handed: `frames` turns it over, nothing else does."""
