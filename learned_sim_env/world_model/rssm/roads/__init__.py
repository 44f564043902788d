"""Road that was never seen, imagined in large pieces: which come one after another, where they lie, what they show."""
