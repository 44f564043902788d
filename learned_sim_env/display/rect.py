"""Rectangles in whole pixels."""

from __future__ import annotations

from dataclasses import dataclass


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

    def centred(self, width: int, height: int) -> Rect:
        """A rectangle of that size in the middle of this one."""
        return Rect(self.x + (self.width - width) // 2, self.y + (self.height - height) // 2, width, height)

    def split(self, width: int, gap: int = 0) -> tuple[Rect, Rect]:
        """The left part, of that width, and what is right of it behind a gap."""
        rest = Rect(self.x + width + gap, self.y, max(self.width - width - gap, 0), self.height)
        return Rect(self.x, self.y, width, self.height), rest

    def cut(self, height: int, gap: int = 0) -> tuple[Rect, Rect]:
        """The upper part, of that height, and what is below it behind a gap."""
        rest = Rect(self.x, self.y + height + gap, self.width, max(self.height - height - gap, 0))
        return Rect(self.x, self.y, self.width, height), rest

    def holds(self, other: Rect) -> bool:
        """Whether the other one lies inside."""
        return self.x <= other.x and self.y <= other.y and self.right >= other.right and self.bottom >= other.bottom

    def meets(self, other: Rect) -> bool:
        """Whether the two have a pixel in common."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom
