"""nuScenes: its tables, its maps, and what was measured on the car."""
