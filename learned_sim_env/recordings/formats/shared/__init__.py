"""What several formats have in common: features and boxes, rotations, Lanelet2 maps, JSON and XML that others wrote."""
