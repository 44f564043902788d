"""Watching and driving an environment by hand."""
