"""The recurrent state-space model that ships: its parts, each a file, and `model`, which puts them together."""
