"""Driving scenarios in batches, in a dream or its twin: jobs, runners, perturbations and suites."""
