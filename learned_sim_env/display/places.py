"""Where views go: maps in cells of their own, cameras abreast as a driver sees them, the middle one wide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from learned_sim_env.display.rect import Rect

# (height, width) of views [pixels], by name.
Sizes = Mapping[str, tuple[int, int]]
# How much wider than the others the middle one of three or more cameras is.
WIDE = 2
# [design pixels] What the numbers that compare dream and twin need.
NUMBERS = (230, 170)


@dataclass(frozen=True)
class Places:
    """Where the views of dream and twin go, and of their difference.

    captions: by what they are of: "dream", "twin", "difference", and, below cameras, "dream map" and "twin map".
    """

    dream: dict[str, Rect]
    twin: dict[str, Rect] = field(default_factory=dict)
    difference: dict[str, Rect] = field(default_factory=dict)
    captions: dict[str, Rect] = field(default_factory=dict)
    numbers: Rect | None = None


def maps_alone(area: Rect, maps: Sizes, gap: int) -> Places:
    """Maps side by side, enlarged by a whole factor so that their classes keep sharp edges."""
    return Places(_maps(area, maps, gap))


def maps_beside_twin(area: Rect, maps: Sizes, caption: int, gap: int) -> Places:
    """Four cells: the dream's maps, the twin's, their difference, and numbers."""
    height, width = max(h for h, _ in maps.values()), sum(w for _, w in maps.values())

    def fitting(columns: int) -> int:
        rows = 4 // columns
        across = (area.width - (columns - 1) * gap) // (columns * width)
        return min(across, ((area.height - (rows - 1) * gap) // rows - caption) // height)

    columns = max((2, 4, 1), key=fitting)
    factor, rows = max(1, fitting(columns)), 4 // columns
    w, h = factor * width, factor * height + caption
    whole = area.centred(columns * w + (columns - 1) * gap, rows * h + (rows - 1) * gap)
    cells = [Rect(whole.x + c * (w + gap), whole.y + r * (h + gap), w, h) for r in range(rows) for c in range(columns)]
    parts = [cell.cut(caption) for cell in cells]
    dream, twin, difference = (_maps(below, maps, 0) for _, below in parts[:3])
    captions = {name: above for name, (above, _) in zip(("dream", "twin", "difference"), parts)}
    return Places(dream, twin, difference, captions, cells[3])


def cameras_alone(area: Rect, cameras: Sizes, gap: int) -> tuple[Places, Rect]:
    """Cameras abreast at the top of an area; also what is left below them."""
    row = _abreast(area.cut(round(0.56 * area.height))[0], cameras, gap)
    return Places(row), area.cut(_height(row), gap)[1]


def inset_beside(area: Rect, maps: Sizes, gap: int) -> tuple[dict[str, Rect], Rect]:
    """Maps at the left of an area, as large as fits into a third of it; also what is left beside them."""
    if not maps:
        return {}, area
    room = area.split(area.width // 3)[0]
    placed = _maps(room, maps, gap)
    left, rest = area.split(_width(placed), 2 * gap)
    return _maps(left, maps, gap), rest


def cameras_beside_twin(area: Rect, cameras: Sizes, maps: Sizes, caption: int, gap: int, unit: float) -> Places:
    """The dream's cameras above the twin's; below them their maps with the difference, and numbers."""
    room = max(1, (area.height - round(NUMBERS[1] * unit) - 2 * gap) // 2 - caption)
    captions, rows, rest = {}, {}, area
    for name in ("dream", "twin"):
        captions[name], rest = rest.cut(caption)
        rows[name] = _abreast(rest.cut(room)[0], cameras, gap)
        rest = rest.cut(_height(rows[name]), gap)[1]
    if not maps:
        return Places(rows["dream"], rows["twin"], {}, captions, rest)
    width = (rest.width - round(NUMBERS[0] * unit) - 3 * gap) // 3
    placed: dict[str, dict[str, Rect]] = {}
    for name in ("dream map", "twin map", "difference"):
        above, below = rest.cut(caption)
        fitting = _maps(below.split(width)[0], maps, gap)
        here = below.split(_width(fitting))[0]
        # Under its caption, not in the middle of what is left.
        placed[name] = _maps(here.cut(_height(fitting))[0], maps, gap)
        captions[name] = above.split(here.width)[0]
        rest = rest.split(here.width, gap)[1]
    dream, twin = ({**rows[name], **placed[f"{name} map"]} for name in ("dream", "twin"))
    return Places(dream, twin, placed["difference"], captions, rest)


def _maps(area: Rect, maps: Sizes, gap: int) -> dict[str, Rect]:
    """Maps side by side in the middle of an area, enlarged by the same whole factor."""
    height, width = max(h for h, _ in maps.values()), sum(w for _, w in maps.values())
    factor = max(1, min((area.width - gap * (len(maps) - 1)) // width, area.height // height))
    whole, x = area.centred(factor * width + gap * (len(maps) - 1), factor * height), 0
    placed = {}
    for name, (h, w) in maps.items():
        placed[name] = Rect(whole.x + x, whole.y, factor * w, factor * h)
        x += factor * w + gap
    return placed


def _abreast(area: Rect, cameras: Sizes, gap: int) -> dict[str, Rect]:
    """Cameras from left to right at the top of an area, as large as it lets them be, their horizons at one height."""
    n = len(cameras)
    shares = [WIDE if n >= 3 and n % 2 and i == n // 2 else 1 for i in range(n)]
    heights = [share * h / w for share, (h, w) in zip(shares, cameras.values())]
    side = min((area.width - gap * (n - 1)) / sum(shares), area.height / max(heights))
    x = area.x + int(area.width - side * sum(shares) - gap * (n - 1)) // 2
    placed = {}
    for name, share, height in zip(cameras, shares, heights):
        y = area.y + int(side * (max(heights) - height)) // 2
        placed[name] = Rect(x, y, int(share * side), int(side * height))
        x += int(share * side) + gap
    return placed


def _width(row: Mapping[str, Rect]) -> int:
    return max(rect.right for rect in row.values()) - min(rect.x for rect in row.values())


def _height(row: Mapping[str, Rect]) -> int:
    return max(rect.bottom for rect in row.values()) - min(rect.y for rect in row.values())
