"""Imagined futures: batched rollouts of a world model, with noise and starts that depend on nothing but the row."""
