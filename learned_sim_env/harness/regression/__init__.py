"""Regression of a policy: the same scenarios for every release, with a verdict against a baseline."""
