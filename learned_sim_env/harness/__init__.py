"""A learned simulator as a test harness: scenarios, policies, perturbations driven in batches, in dream and twin."""
