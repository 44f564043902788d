"""Settings from JSON, as `dataclasses.asdict` has described them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints


def rebuilt(kind: type[Any], described: Mapping[str, Any]) -> Any:
    """An instance of the dataclass `kind`, whose fields may be dataclasses or tuples; what it lacks is left out."""
    hints = get_type_hints(kind)
    given = {}
    for f in fields(kind):
        if f.name in described:
            value = described[f.name]
            value = rebuilt(hints[f.name], value) if is_dataclass(hints[f.name]) else value
            given[f.name] = tuple(value) if isinstance(value, list) else value
    return kind(**given)
