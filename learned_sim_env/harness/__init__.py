"""The learned simulator as a test harness: scenarios, policies and perturbations driven in batches, in dream and twin."""
