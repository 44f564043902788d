"""What clients are not told: the stand-in's log."""

from __future__ import annotations

import sys

# Lines that are remembered, so that each is written once; more are not written.
REMEMBERED = 10_000


class Log:
    """What a client is not told, on standard error: every line once."""

    def __init__(self) -> None:
        self._written: set[str] = set()

    def note(self, text: str) -> None:
        """Write a line."""
        if text not in self._written and len(self._written) < REMEMBERED:
            self._written.add(text)
            print(f"carla_standin: {text}", file=sys.stderr, flush=True)
