"""World models: the protocol they keep, what they are made of, and how they ship."""
