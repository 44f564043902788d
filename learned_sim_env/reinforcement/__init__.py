"""Learning to drive: wrappers, adapters to reinforcement-learning libraries, and the experiment from dream to twin."""
