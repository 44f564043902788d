"""What cameras show: the view from above, and things beside the road."""
