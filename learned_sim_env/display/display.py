"""The window: opened, resized, full screen, lost."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from learned_sim_env.display.layout import BASE, SMALLEST
from learned_sim_env.optional import require

# Of the screen that a window takes at first.
SHARE = 0.85


class Display:
    """A window that can be resized.

    Args:
        title: of the window.
        size: [pixels]; None: as large as suits the screen, so that text can be read on a dense one as well.

    Attributes:
        surface: to draw on, at least `layout.SMALLEST`; `flip` shows it.

    Raises:
        ValueError: if there is no display.
        ImportError: if pygame is not installed.
    """

    def __init__(self, title: str, size: tuple[int, int] | None = None):
        self._pygame = pygame = require("pygame", extra="viewer")
        try:
            pygame.display.init()
            self._windowed = size or self._suitable()
            self._screen = pygame.display.set_mode(self._windowed, pygame.RESIZABLE)
        except pygame.error as error:
            raise ValueError(
                f"no window can be opened ({error}): give --headless with --steps and --record, or set DISPLAY"
            ) from error
        pygame.display.set_caption(title)
        self.full_screen = False
        self._fit()

    @property
    def size(self) -> tuple[int, int]:
        """Of the window [pixels]."""
        return self._screen.get_size()

    def toggle_full_screen(self) -> None:
        """Fill the screen, or no longer."""
        self.full_screen = not self.full_screen
        if self.full_screen:
            self._windowed = self.size
            self._screen = self._pygame.display.set_mode((0, 0), self._pygame.FULLSCREEN)
        else:
            # Some drivers leave full screen the first time, and take the size only the second.
            for _ in range(2):
                self._screen = self._pygame.display.set_mode(self._windowed, self._pygame.RESIZABLE)
        self._fit()

    def resized(self) -> None:
        """Take note that the user has resized the window."""
        self._screen = self._pygame.display.get_surface()
        self._fit()

    def flip(self) -> None:
        """Show what was drawn."""
        if self.surface is not self._screen:
            self._pygame.transform.smoothscale(self.surface, self.size, self._screen)
        self._pygame.display.flip()

    def close(self) -> None:
        """Close the window; closing again is harmless."""
        self._pygame.display.quit()

    def _suitable(self) -> tuple[int, int]:
        width, height = self._pygame.display.get_desktop_sizes()[0]
        scale = min(SHARE * width / BASE[0], SHARE * height / BASE[1])
        return max(SMALLEST[0], int(BASE[0] * scale)), max(SMALLEST[1], int(BASE[1] * scale))

    def _fit(self) -> None:
        width, height = self.size
        if width >= SMALLEST[0] and height >= SMALLEST[1]:
            self.surface: Any = self._screen
        else:
            # Nothing is cut off: everything is there, only smaller.
            self.surface = self._pygame.Surface((max(width, SMALLEST[0]), max(height, SMALLEST[1])), depth=24)


def when_display_is_lost(rescue: Callable[[], None]) -> object:
    """Have `rescue` called if the X server goes away: Xlib ends the process then, without a word to Python.

    Returns:
        What must be kept as long as the window is open.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        xlib = ctypes.CDLL("libX11.so.6")
    except OSError:
        return None
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)

    def lost(_: int) -> int:
        rescue()
        return 0

    handler = prototype(lost)
    xlib.XSetIOErrorHandler(handler)
    return handler
