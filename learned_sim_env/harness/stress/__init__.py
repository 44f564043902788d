"""Stress of a policy: perturbed dreams, an adaptive search for failures, and how plausible what it finds is."""
