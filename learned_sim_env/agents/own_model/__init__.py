"""Agents that learn a model of their own from recorded episodes, to compare with: what they see, and their policy."""
