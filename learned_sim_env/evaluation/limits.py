"""Bounds of the settings of an evaluation."""

from __future__ import annotations

from typing import Any


def check_at_least(config: Any, **least: int) -> None:
    """Raise `ValueError` naming the first of the settings `least` of `config` that is below its bound."""
    for name, bound in least.items():
        if not getattr(config, name) >= bound:
            raise ValueError(f"{name} is {getattr(config, name)}; it must be at least {bound}")
