"""Two environments of one contract, driven alike and compared: dream and twin, or two simulators."""
