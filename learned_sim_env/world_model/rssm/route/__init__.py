"""The route as a chain of stations on the ground: found in a view, followed, and what lies on it."""
