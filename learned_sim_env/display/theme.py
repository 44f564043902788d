"""Colours of the viewer: those of the classes, and those of what stands around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.spec import PALETTE, unknown

Colour = tuple[int, int, int]

# Chosen so that all pairs differ by more than 30 in CIE Lab, seen normally and with protanopia, deuteranopia or
# tritanopia as Machado et al. (2009) simulate them; the contract's own palette comes down to 12.
_SAFE = np.array(
    [
        (4, 6, 20),  # off-road
        (84, 80, 73),  # road
        (6, 51, 233),  # route
        (144, 164, 170),  # broken line
        (245, 207, 134),  # solid line
        (246, 152, 9),  # static object
        (188, 60, 28),  # vehicle
        (177, 90, 196),  # pedestrian
        (242, 255, 255),  # ego
    ],
    dtype=np.uint8,
)


@dataclass(frozen=True, eq=False)
class Theme:
    """classes: (9, 3) uint8 RGB, one colour a class. The others: what is said well, as a warning, as bad news."""

    name: str
    classes: np.ndarray
    accent: Colour = (88, 166, 255)
    good: Colour = (86, 211, 120)
    warn: Colour = (255, 180, 66)
    bad: Colour = (255, 98, 92)
    background: Colour = (13, 15, 19)
    panel: Colour = (24, 27, 33)
    line: Colour = (50, 55, 65)
    text: Colour = (232, 235, 240)
    dim: Colour = (146, 154, 166)


THEMES = {
    theme.name: theme
    for theme in (
        Theme("standard", PALETTE),
        Theme("colour-blind safe", _SAFE, (86, 180, 233), (120, 200, 255), (240, 200, 60), (235, 110, 40)),
    )
}


def theme(name: str) -> Theme:
    """The theme of that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in THEMES:
        raise unknown("palette", name, THEMES)
    return THEMES[name]


def after(name: str) -> str:
    """The name of the theme that follows, the first one after the last."""
    names = list(THEMES)
    return names[(names.index(theme(name).name) + 1) % len(names)]
