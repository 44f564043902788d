"""The loop that trains any objective: its learning rate, its state on disk, its curves."""
