"""The levels of the ladder of trust, one package each."""
