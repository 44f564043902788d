"""Settings given as text on a command line."""

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
