"""Training a world model on recorded episodes."""
