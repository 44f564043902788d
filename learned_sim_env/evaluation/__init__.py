"""How far a world model may be trusted: metrics with intervals, always beside a baseline."""
