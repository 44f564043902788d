"""What imagined road is made of: pieces of the maps of training scenarios, and which of them follow on each other."""
