"""Gymnasium environments: the learned ones and their twins on real simulators."""
