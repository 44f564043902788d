"""What agents learn from: dreams, recorded episodes, features of real observations, and what a step is worth."""
