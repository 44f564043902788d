"""Where everything goes: rectangles in pixels, for a window of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# [pixels] For which the sizes below are meant; everything grows with the window.
BASE = (1120, 840)
# [pixels] Smaller windows show the picture of this size, shrunk.
SMALLEST = (640, 480)
MARGIN, COLUMN, HEADER, FOOTER, CAPTION = 12, 380, 36, 26, 22
# Panels of the column, from above, and their heights for a window of the base size.
PANELS = {
    "driving": 128,
    "reward": 202,
    "cost": 66,
    "uncertainty": 150,
    "horizon": 62,
    "clock": 66,
    "session": 88,
}
# Those of a window without a human driver.
WATCHING = tuple(PANELS)[:5]


@dataclass(frozen=True)
class Rect:
    """A rectangle, in whole pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column behind it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    def inset(self, by: int) -> Rect:
        """Smaller by so much on every side."""
        return Rect(self.x + by, self.y + by, max(self.width - 2 * by, 0), max(self.height - 2 * by, 0))

    def holds(self, other: Rect) -> bool:
        """Whether the other one lies inside."""
        return self.x <= other.x and self.y <= other.y and self.right >= other.right and self.bottom >= other.bottom

    def meets(self, other: Rect) -> bool:
        """Whether the two have a pixel in common."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom


@dataclass(frozen=True)
class Layout:
    """unit: pixels a design pixel. factor: by which views are enlarged. views: one, or dream, twin and difference, each
    under a caption. numbers: what compares dream and twin, where there is a twin.
    """

    size: tuple[int, int]
    unit: float
    factor: int
    header: Rect
    footer: Rect
    views: tuple[Rect, ...]
    captions: tuple[Rect, ...] = ()
    numbers: Rect | None = None
    panels: dict[str, Rect] = field(default_factory=dict)

    def px(self, length: float) -> int:
        """Design pixels as pixels, at least one."""
        return max(1, round(length * self.unit))


def arrange(size: tuple[int, int], view: tuple[int, int], twin: bool, names: Sequence[str] = tuple(PANELS)) -> Layout:
    """A layout.

    Args:
        size: width and height of the picture, at least `SMALLEST` [pixels].
        view: height and width of a view, which is enlarged by a whole factor so that its classes keep sharp edges.
        twin: make room for the twin and the difference.
        names: of the panels, from above.
    """
    width, height = size
    unit = min(width / BASE[0], height / BASE[1])

    def px(length: float) -> int:
        return max(1, round(length * unit))

    margin, column = px(MARGIN), px(COLUMN)
    left = width - column - 3 * margin
    header = Rect(margin, margin, left, px(HEADER))
    footer = Rect(margin, height - margin - px(FOOTER), left, px(FOOTER))
    gap = px(8)
    area = Rect(margin, header.bottom + gap, left, footer.y - header.bottom - 2 * gap)
    views, captions, numbers, factor = _views(area, view, twin, px(CAPTION), gap)
    return Layout(
        size, unit, factor, header, footer, views, captions, numbers, _panels(size, margin, column, gap, names)
    )


def _views(
    area: Rect, view: tuple[int, int], twin: bool, caption: int, gap: int
) -> tuple[tuple[Rect, ...], tuple[Rect, ...], Rect | None, int]:
    if not twin:
        factor = max(1, min(area.width // view[1], area.height // view[0]))
        w, h = factor * view[1], factor * view[0]
        return (Rect(area.x + (area.width - w) // 2, area.y + (area.height - h) // 2, w, h),), (), None, factor

    def fitting(columns: int) -> int:
        rows = 4 // columns
        across = (area.width - (columns - 1) * gap) // (columns * view[1])
        return min(across, ((area.height - (rows - 1) * gap) // rows - caption) // view[0])

    columns = max((2, 4, 1), key=fitting)
    factor, rows = max(1, fitting(columns)), 4 // columns
    w, h = factor * view[1], factor * view[0]
    x = area.x + (area.width - columns * w - (columns - 1) * gap) // 2
    y = area.y + (area.height - rows * (h + caption) - (rows - 1) * gap) // 2
    places = [divmod(i, columns) for i in range(4)]
    cells = [Rect(x + c * (w + gap), y + r * (h + caption + gap), w, h + caption) for r, c in places]
    views = tuple(Rect(c.x, c.y + caption, w, h) for c in cells[:3])
    captions = tuple(Rect(c.x, c.y, w, caption) for c in cells[:3])
    return views, captions, cells[3], factor


def _panels(size: tuple[int, int], margin: int, column: int, gap: int, names: Sequence[str]) -> dict[str, Rect]:
    room = size[1] - 2 * margin - (len(names) - 1) * gap
    total, y, panels = sum(PANELS[name] for name in names), float(margin), {}
    for name in names:
        share = room * PANELS[name] / total
        panels[name] = Rect(size[0] - margin - column, round(y), column, round(y + share) - round(y))
        y += share + gap
    return panels
