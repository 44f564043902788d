"""What the transformer is trained for."""
