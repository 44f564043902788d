"""Where everything goes: rectangles in pixels, for a window of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from learned_sim_env.display.places import (
    Places,
    Sizes,
    cameras_alone,
    cameras_beside_twin,
    inset_beside,
    maps_alone,
    maps_beside_twin,
)
from learned_sim_env.display.rect import Rect

# [pixels] For which the sizes below are meant; everything grows with the window.
BASE = (1120, 840)
# [pixels] Smaller windows show the picture of this size, shrunk.
SMALLEST = (640, 480)
MARGIN, COLUMN, HEADER, FOOTER, CAPTION, GAP = 12, 380, 36, 26, 22, 8
# Panels, from above, and their heights in a column for a window of the base size.
PANELS = {
    "driving": 128,
    "reward": 202,
    "cost": 66,
    "uncertainty": 150,
    "horizon": 62,
    "clock": 66,
    "session": 88,
}
# Those of a window in which nothing can be driven.
WATCHING = tuple(PANELS)[:5]
# [design pixels] Panels below cameras stand in columns that are no narrower.
NARROWEST = 330


@dataclass(frozen=True)
class Layout:
    """Places of one picture.

    unit: pixels a design pixel. views, twin_views, differences: by name of the view. captions: see `Places`.
    numbers: what compares dream and twin, where there is a twin.
    """

    size: tuple[int, int]
    unit: float
    header: Rect
    footer: Rect
    views: dict[str, Rect]
    twin_views: dict[str, Rect] = field(default_factory=dict)
    differences: dict[str, Rect] = field(default_factory=dict)
    captions: dict[str, Rect] = field(default_factory=dict)
    numbers: Rect | None = None
    panels: dict[str, Rect] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The largest view; "" without any."""
        return max(self.views, key=lambda name: self.views[name].width * self.views[name].height, default="")

    def px(self, length: float) -> int:
        """Design pixels as pixels, at least one."""
        return max(1, round(length * self.unit))


def arrange(
    size: tuple[int, int], cameras: Sizes, maps: Sizes, twin: bool, names: Sequence[str] = tuple(PANELS)
) -> Layout:
    """A layout.

    Args:
        size: width and height of the picture, at least `SMALLEST` [pixels].
        cameras: height and width of each, from left to right.
        maps: of each view of classes; insets where there are cameras.
        twin: make room for the twin and the difference.
        names: of the panels, from above.
    """
    width, height = size
    unit = min(width / BASE[0], height / BASE[1])

    def px(length: float) -> int:
        return max(1, round(length * unit))

    margin, gap, column = px(MARGIN), px(GAP), px(COLUMN)
    # Cameras without a twin span the window, and the panels stand below them.
    spanning = bool(cameras) and not twin
    left = width - 2 * margin if spanning else width - column - 3 * margin
    header = Rect(margin, margin, left, px(HEADER))
    footer = Rect(margin, height - margin - px(FOOTER), left, px(FOOTER))
    area = Rect(margin, header.bottom + gap, left, footer.y - header.bottom - 2 * gap)
    beside = Rect(width - margin - column, margin, column, height - 2 * margin)
    if spanning:
        places, below = cameras_alone(area, cameras, gap)
        insets, rest = inset_beside(below, maps, gap)
        places = Places({**places.dream, **insets})
        panels = _in_columns(rest, gap, names, px(NARROWEST), unit)
    else:
        if cameras:
            places = cameras_beside_twin(area, cameras, maps, px(CAPTION), gap, unit)
        elif maps:
            places = maps_beside_twin(area, maps, px(CAPTION), gap) if twin else maps_alone(area, maps, gap)
        else:
            places = Places({})
        panels = _stacked(beside, gap, names)
    return Layout(
        size,
        unit,
        header,
        footer,
        places.dream,
        places.twin,
        places.difference,
        places.captions,
        places.numbers,
        panels,
    )


def _stacked(area: Rect, gap: int, names: Sequence[str]) -> dict[str, Rect]:
    """Panels one below the other, filling the area."""
    room = area.height - (len(names) - 1) * gap
    total, y, panels = sum(PANELS[name] for name in names), float(area.y), {}
    for name in names:
        share = room * PANELS[name] / total
        panels[name] = Rect(area.x, round(y), area.width, round(y + share) - round(y))
        y += share + gap
    return panels


def _in_columns(area: Rect, gap: int, names: Sequence[str], narrowest: int, unit: float) -> dict[str, Rect]:
    """Panels in as few columns as give them their heights, or in as many as there is room for."""
    most = max(1, min(len(names), (area.width + gap) // (narrowest + gap)))
    for count in range(1, most + 1):
        columns = _balanced(names, count)
        if unit * max(_height(column) for column in columns) <= area.height:
            break
    panels: dict[str, Rect] = {}
    for i, column in enumerate(columns):
        x = area.x + i * (area.width + gap) // count
        right = area.x + (i + 1) * (area.width + gap) // count - gap
        panels |= _stacked(Rect(x, area.y, right - x, area.height), gap, column)
    return panels


def _balanced(names: Sequence[str], count: int) -> list[Sequence[str]]:
    """The names in `count` columns, in their order, the highest of them as low as can be."""

    def columns(cuts: tuple[int, ...]) -> list[Sequence[str]]:
        return [names[a:b] for a, b in pairwise((0, *cuts, len(names)))]

    cuts = min(
        combinations(range(1, len(names)), count - 1), key=lambda cuts: max(_height(column) for column in columns(cuts))
    )
    return columns(cuts)


def _height(names: Sequence[str]) -> float:
    return sum(PANELS[name] for name in names) + GAP * (len(names) - 1)
