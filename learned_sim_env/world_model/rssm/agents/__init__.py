"""Other road users as boxes: found in views, refined, moved, and coming into view."""
