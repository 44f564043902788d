"""Scenery that was not seen yet: where there may be some, and what stands there."""
