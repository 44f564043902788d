"""All that one frame of the viewer shows, as data: the same data give the same pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Moments that the uncertainty's plot looks back on: 30 s.
TRAIL = 300
# By the name of a modality: class ids (H, W) or RGB (H, W, 3), uint8. Cameras are in order, from left to right.
Views = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class TwinFrame:
    """The simulator at the same moment. views: the same as the dream's; apart: [m] between the two egos."""

    views: Views
    speed: float
    reward_total: float
    cost_total: float
    end_reason: str
    apart: float


@dataclass(frozen=True)
class Status:
    """What the viewer itself is doing.

    driver: its name, "" where there is none. rate: steps a second that are asked for, 0 where nothing is timed. marked:
    imagined steps at the mark, -1 without one. strength: of a perturbation, 0 where there can be none. futures: [s]
    since the futures of the overlay parted. model_ms, display_ms: what a step and a frame took. note: what has just
    happened.
    """

    driver: str = ""
    rate: float = 0.0
    paused: bool = False
    recording: bool = False
    marked: int = -1
    strength: float = 0.0
    futures: float = 0.0
    model_ms: float = 0.0
    display_ms: float = 0.0
    palette: str = "standard"
    note: str = ""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    views: what is seen. ego: (6,) float32, see `spec.EGO_FIELDS`. info: of the environment, see `spec.INFO_KEYS`.
    source: "" for what a model imagines, else the name of what is real. trail: (n,) float32, uncertainty of the last n
    moments, this one included. bound: where the environment truncates. seed: of the noise. limit: steps after which an
    episode is cut off. overlay: of some of the views, (H, W) uint8, how much of what might as well have been imagined
    differs here, 255 for all of it; None where it is not asked for.
    """

    views: Views
    ego: np.ndarray
    info: dict[str, Any]
    source: str = ""
    step: int = 0
    dt: float = 0.1
    limit: int = 500
    reward_total: float = 0.0
    cost_total: float = 0.0
    trail: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    bound: float = float("inf")
    seed: int = -1
    overlay: Views | None = None
    twin: TwinFrame | None = None
    twin_wanted: bool = False
    status: Status = field(default_factory=Status)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the views that are RGB, from left to right."""
        return tuple(name for name, view in self.views.items() if view.ndim == 3)

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the views that are class ids."""
        return tuple(name for name, view in self.views.items() if view.ndim == 2)

    @property
    def reward(self) -> float:
        """Of the step that led here."""
        return float(sum(self.info["reward_terms"].values()))
