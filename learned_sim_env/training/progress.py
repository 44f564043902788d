"""How far a run has come, said while it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

from tqdm import tqdm


class Progress:
    """On a terminal a bar; elsewhere, as in a log file, a line with the time of day whenever there is news.

    step, steps: where the run is, and where it ends. said: whether anything is said. name: of what goes on; unit: of
    its steps.
    """

    def __init__(self, step: int, steps: int, said: bool = True, name: str = "", unit: str = "step"):
        self._bar = tqdm(
            total=steps, initial=step, desc=name or None, unit=unit, disable=None if said else True, smoothing=0.05
        )
        self._lines, self._name, self._unit = said and self._bar.disable, name and f"{name}: ", unit
        self._steps, self._last = steps, (time.monotonic(), step)

    def advance(self) -> None:
        """A step was done."""
        self._bar.update()

    def news(self, step: int, values: Mapping[str, float]) -> float:
        """Say how things stand after a step; the steps a second since the last news."""
        (before, first), now = self._last, time.monotonic()
        self._last = now, step
        pace = (step - first) / max(now - before, 1e-9)
        shown = {name: f"{value:.3g}" for name, value in values.items()}
        self._bar.set_postfix(shown)
        if self._lines:
            told = "".join(f", {name} {value}" for name, value in shown.items())
            where = f"{self._name}{self._unit} {step:,} of {self._steps:,}, {pace:.3g} {self._unit}/s"
            print(f"{time_of_day()} {where}{told}", flush=True)
        return pace

    def close(self) -> None:
        """End the bar."""
        self._bar.close()


def time_of_day() -> str:
    """Date, time and its zone, to the second."""
    return datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
