"""`call`, `get_attr` and `set_attr`, as in Gymnasium's own vector environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv as Base
else:
    Base = object

# Methods of single rows, which take the row as their first argument.
BY_ROW = ("snapshot", "restore", "branch")
# Attributes that have one value a row already.
VALUES = ("np_random", "np_random_seed")
# What a single environment calls its spaces.
SPACES = {"observation_space": "single_observation_space", "action_space": "single_action_space"}
# Methods of all rows together.
TOGETHER = ("reset", "step", "close", "close_extras", "call", "get_attr", "set_attr")


class Rows(Base):
    """Mixin for a vector environment whose rows share one object, as if each row were an environment of its own."""

    _of_rows: dict[str, tuple[Any, ...]]

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Results of a method that is called for every row, or an attribute's value in every row.

        Raises:
            AttributeError: if there is no such attribute, or only one of all rows together.
        """
        n = self.num_envs
        if name in self._added():
            return self._added()[name]
        if name == "render":
            frames: Any = self.render()
            return (None,) * n if frames is None else tuple(frames)
        if name in BY_ROW:
            return tuple(getattr(self, name)(row, *args, **kwargs) for row in range(n))
        if name in VALUES:
            return tuple(getattr(self, name))
        if name in TOGETHER or name.startswith("_"):
            raise AttributeError(f"rows have no {name!r} of their own: use the vector environment's")
        value = getattr(self, SPACES.get(name, name))
        return tuple(value(*args, **kwargs) if callable(value) else value for _ in range(n))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute's value in every row; see `call`."""
        return self.call(name)

    def set_attr(self, name: str, values: list[Any] | tuple[Any, ...] | Any) -> None:
        """Set an attribute of every row.

        Args:
            name: of an attribute that rows share, or of a new one, which `get_attr` then gives and nothing else reads.
            values: a list or tuple of one value a row, or the value for all of them.

        Raises:
            ValueError: for a list or tuple of another length, or different values of an attribute that rows share.
            AttributeError: if the attribute cannot be set.
        """
        rows = list(values) if isinstance(values, list | tuple) else [values] * self.num_envs
        if len(rows) != self.num_envs:
            raise ValueError(f"{len(rows)} values of {name!r} for {self.num_envs} rows: give one a row, or one for all")
        if not hasattr(self, name):
            self._added()[name] = tuple(rows)
        elif any(value is not rows[0] and value != rows[0] for value in rows):
            raise ValueError(f"rows share {name!r}: it cannot be {rows}, one value a row; give all the same")
        elif name in (*SPACES, *VALUES, *BY_ROW, *TOGETHER, "render"):
            raise AttributeError(f"{name!r} cannot be set")
        else:
            setattr(self, name, rows[0])

    def _added(self) -> dict[str, tuple[Any, ...]]:
        """Attributes that `set_attr` has added, one value a row."""
        return self.__dict__.setdefault("_of_rows", {})
