"""Measuring how fast environments are."""
