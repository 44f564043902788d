"""Numbers that compare predictions with what happened, each saying what it cannot show."""
