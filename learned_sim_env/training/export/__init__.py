"""From a finished run to a checkpoint: its starts, the usual uncertainty, and from how much it has learned."""
