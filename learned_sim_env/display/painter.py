"""A surface to draw on: text that always fits, boxes, bars and views of class ids."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from learned_sim_env.display.rect import Rect
from learned_sim_env.display.theme import Colour
from learned_sim_env.optional import require

# Rendered texts that are kept: numbers change all the time.
KEPT = 1024
ANCHORS = {"l": 0.0, "c": 0.5, "r": 1.0}


class Type:
    """Text in the font that Pillow carries: the same on every machine. Needs no display.

    Raises:
        ImportError: if pygame or Pillow is not installed.
    """

    def __init__(self) -> None:
        pygame = require("pygame", extra="viewer")
        # pygame loads its part for fonts only when asked to.
        require("pygame.font", extra="viewer").init()
        data = require("PIL.ImageFont", extra="viewer").load_default(12).font_bytes

        @lru_cache(16)
        def font(px: int) -> Any:
            return pygame.font.Font(io.BytesIO(data), px)

        @lru_cache(KEPT)
        def rendered(text: str, px: int, colour: Colour) -> Any:
            return font(px).render(text, True, colour)

        self._font, self.rendered = font, rendered

    def width(self, text: str, px: int) -> int:
        """Width [pixels] of a line."""
        return self._font(px).size(text)[0]

    def height(self, px: int) -> int:
        """Height [pixels] of a line."""
        return self._font(px).get_height()


class Painter:
    """Draws on a surface.

    Attributes:
        texts: what was written: the text, where it stands, and where it had to stay. cut: texts that lost letters.
    """

    def __init__(self, surface: Any, type_: Type):
        self._pygame = require("pygame", extra="viewer")
        self.surface, self.type = surface, type_
        self.texts: list[tuple[str, Rect, Rect]] = []
        self.cut: list[str] = []

    def fill(self, rect: Rect, colour: Colour, radius: int = 0) -> None:
        """A filled rectangle, with rounded corners if `radius` [pixels] is given."""
        self._pygame.draw.rect(self.surface, colour, _raw(rect), border_radius=radius)

    def shade(self, rect: Rect, colour: Colour, alpha: int, radius: int = 0) -> None:
        """A rectangle through which what is there can be seen; alpha: 0 to 255."""
        veil = self._pygame.Surface((rect.width, rect.height), self._pygame.SRCALPHA)
        self._pygame.draw.rect(veil, (*colour, alpha), (0, 0, rect.width, rect.height), border_radius=radius)
        self.surface.blit(veil, (rect.x, rect.y))

    def frame(self, rect: Rect, colour: Colour, thickness: int = 1, radius: int = 0) -> None:
        """The outline of a rectangle, inside it."""
        self._pygame.draw.rect(self.surface, colour, _raw(rect), thickness, border_radius=radius)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, thickness: int = 1) -> None:
        """A polyline."""
        if len(points) > 1:
            self._pygame.draw.lines(self.surface, colour, False, points, thickness)

    def dot(self, x: int, y: int, radius: int, colour: Colour) -> None:
        """A disc."""
        self._pygame.draw.circle(self.surface, colour, (x, y), radius)

    def text(self, room: Rect, text: str, px: int, colour: Colour, anchor: str = "l") -> Rect:
        """One line, vertically in the middle of `room`, at its left, centre or right ("l", "c", "r").

        It becomes smaller where it would not fit, and in the end loses its last letters.

        Returns:
            Where it stands.
        """
        px = max(6, min(px, room.height))
        while px > 6 and (self.type.width(text, px) > room.width or self.type.height(px) > room.height):
            px -= 1
        if self.type.width(text, px) > room.width:
            self.cut.append(text)
            while text and self.type.width(text, px) > room.width:
                text = text[:-1]
        image = self.type.rendered(text, px, colour)
        width, height = image.get_size()
        x = room.x + round((room.width - width) * ANCHORS[anchor])
        where = Rect(x, room.y + (room.height - height) // 2, width, height)
        self.surface.blit(image, (where.x, where.y))
        if text:
            self.texts.append((text, where, room))
        return where

    def picture(self, rect: Rect, rgb: np.ndarray, smooth: bool = False) -> None:
        """An image (H, W, 3) uint8, enlarged; smooth: without visible pixels, as suits a camera's."""
        image = self._pygame.image.frombuffer(np.ascontiguousarray(rgb).tobytes(), rgb.shape[1::-1], "RGB")
        scale = self._pygame.transform.smoothscale if smooth else self._pygame.transform.scale
        self.surface.blit(scale(image, (rect.width, rect.height)), (rect.x, rect.y))


def _raw(rect: Rect) -> tuple[int, int, int, int]:
    return rect.x, rect.y, rect.width, rect.height
