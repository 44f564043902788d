"""How far a run has come, and how long the rest will take, said while it goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

from tqdm import tqdm

# [s] After so long without news, a log file gets a line all the same.
SILENCE = 60.0


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
        self._step, self._steps, self._last = step, steps, (time.monotonic(), step)

    def advance(self) -> None:
        """A step was done."""
        self._bar.update()
        self._step += 1
        if self._lines and time.monotonic() - self._last[0] >= SILENCE:
            self.news(self._step, {})

    def news(self, step: int, values: Mapping[str, float]) -> float:
        """Say how things stand after a step; the steps a second since the last news."""
        (before, first), now = self._last, time.monotonic()
        self._last = now, step
        pace = (step - first) / max(now - before, 1e-9)
        shown = {name: f"{value:.3g}" for name, value in values.items()}
        self._bar.set_postfix(shown)
        if self._lines:
            told = "".join(f", {name} {value}" for name, value in shown.items())
            left = f", {duration((self._steps - step) / pace)} left" if pace and step < self._steps else ""
            where = f"{self._name}{self._unit} {step:,} of {self._steps:,}, {pace:.3g} {self._unit}/s{left}"
            print(f"{time_of_day()} {where}{told}", flush=True)
        return pace

    def close(self) -> None:
        """End the bar."""
        self._bar.close()


def duration(seconds: float) -> str:
    """In words, about."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} hours"


def time_of_day() -> str:
    """Date, time and its zone, to the second."""
    return datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
