"""Recorded driving: behaviours that drive, the episode schema, collection, and readers for training and evaluation."""
