"""Agents that learn nothing and plan in the world model: the search, planners that differ in how it goes, a policy."""
