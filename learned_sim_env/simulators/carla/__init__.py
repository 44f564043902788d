"""CARLA as a source of scenes, through its own client. CARLA is left-handed: `frames` alone turns it over."""
