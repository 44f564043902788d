"""Drives that begin at the same moments in a dream and in its twin, which several levels look at."""
