"""The recurrent state-space model that ships: `agents`, `map`, `route` are its parts, `model` puts them together."""
