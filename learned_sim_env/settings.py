"""Settings: given as text on a command line, and held against their bounds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Keyword arguments from texts of the form "name=value"; a value is JSON, or else the text itself.

    Raises:
        ValueError: for a text of another form.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.isidentifier() and equals):
            raise ValueError(f"setting {text!r} is not of the form name=value, as in port=2000")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def check_at_least(config: Any, **least: int) -> None:
    """Raise `ValueError` naming the first of the settings `least` of `config` that is below its bound."""
    for name, bound in least.items():
        if not getattr(config, name) >= bound:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be at least {bound}")


def check_shares(config: Any, *names: str) -> None:
    """Raise `ValueError` naming the first of the settings `names` of `config` that is not from 0 to 1."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be from 0 to 1")
