"""Whether a road is where it was when one comes back."""
