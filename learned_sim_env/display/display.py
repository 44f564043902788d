"""The window: opened, shared, resized, full screen, lost."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from learned_sim_env.display.layout import BASE, SMALLEST
from learned_sim_env.optional import require

# Of the screen that a window takes at first.
SHARE = 0.85


class DisplayTakenError(ValueError):
    """The process has a window already, which is not ours to draw in."""


class Screen:
    """The only window that pygame gives a process: displays share it, side by side.

    Attributes:
        surface: of the whole window.
        displays: that share it, from the left; the last one to close closes the window.
        palette: of the windows of render mode "human", see `theme.theme`.
    """

    current: Screen | None = None

    def __init__(self, title: str, size: tuple[int, int] | None):
        self._pygame = pygame = require("pygame", extra="viewer")
        self._found = pygame.display.get_init()
        if self._found and pygame.display.get_surface() is not None:
            raise DisplayTakenError(
                "this program has a window of pygame's of its own, and pygame gives one a process: use render mode "
                '"rgb_array" and draw what `render` returns into it'
            )
        try:
            pygame.display.init()
            self.windowed = size or self._suitable()
            self.surface = pygame.display.set_mode(self.windowed, pygame.RESIZABLE)
        except pygame.error as error:
            raise ValueError(
                f"no window can be opened ({error}): give --headless with --steps and --record, or set DISPLAY"
            ) from error
        pygame.display.set_caption(title)
        self.displays: list[Display] = []
        self.full_screen = False
        self.palette = "standard"

    @classmethod
    def shared(cls, title: str, size: tuple[int, int] | None) -> Screen:
        """The window that is open already, or a new one."""
        if cls.current is None or not cls.current.there:
            cls.current = cls(title, size)
        return cls.current

    @property
    def there(self) -> bool:
        """Whether it still is; whatever else in the process uses pygame can close it."""
        # Another window would have another surface.
        return self._pygame.display.get_init() and self._pygame.display.get_surface() is self.surface

    def fit(self) -> None:
        """Give each display its part of the window."""
        width, height = self.surface.get_size()
        n = len(self.displays)
        for i, display in enumerate(self.displays):
            display.fit(i * width // n, 0, (i + 1) * width // n - i * width // n, height)

    def leave(self, display: Display) -> None:
        """Close a display, and with the last one the window; where it is gone already, there is nothing to close."""
        if display not in self.displays:
            return
        self.displays.remove(display)
        if self.there and self.displays:
            self.surface.fill((0, 0, 0))
            self.fit()
        elif self.there:
            self._pygame.display.quit()
            if self._found:
                self._pygame.display.init()

    def _suitable(self) -> tuple[int, int]:
        width, height = self._pygame.display.get_desktop_sizes()[0]
        scale = min(SHARE * width / BASE[0], SHARE * height / BASE[1])
        return max(SMALLEST[0], int(BASE[0] * scale)), max(SMALLEST[1], int(BASE[1] * scale))


class Display:
    """A window that can be resized, or a part of it where the process has several.

    Args:
        title: of the window.
        size: [pixels]; None: as large as suits the screen, so that text can be read on a dense one as well.

    Attributes:
        surface: to draw on, at least `layout.SMALLEST`; `flip` shows it.

    Raises:
        DisplayTakenError: if the program has opened a window of pygame's itself.
        ValueError: if there is no display.
        ImportError: if pygame is not installed.
    """

    def __init__(self, title: str, size: tuple[int, int] | None = None):
        self._pygame = require("pygame", extra="viewer")
        self.screen = Screen.shared(title, size)
        self.screen.displays.append(self)
        self.screen.fit()

    @property
    def size(self) -> tuple[int, int]:
        """Of the window [pixels]."""
        return self.screen.surface.get_size()

    @property
    def full_screen(self) -> bool:
        """Whether the window fills the screen."""
        return self.screen.full_screen

    @property
    def there(self) -> bool:
        """Whether it can be drawn on: neither it nor pygame's window has been closed."""
        return self in self.screen.displays and self.screen.there

    def fit(self, x: int, y: int, width: int, height: int) -> None:
        """Take this part of the window [pixels]."""
        self._part = self._pygame.Rect(x, y, width, height)
        large = width >= SMALLEST[0] and height >= SMALLEST[1]
        if large and self._part.size == self.size:
            self.surface: Any = self.screen.surface
        else:
            # Nothing is cut off: everything is there, only smaller.
            self.surface = self._pygame.Surface((max(width, SMALLEST[0]), max(height, SMALLEST[1])), depth=24)

    def toggle_full_screen(self) -> None:
        """Fill the screen, or no longer."""
        screen, pygame = self.screen, self._pygame
        screen.full_screen = not screen.full_screen
        if screen.full_screen:
            screen.windowed = self.size
            pygame.display.set_mode((0, 0), pygame.FULLSCREEN)
        else:
            # Some drivers leave full screen the first time, and take the size only the second.
            for _ in range(2):
                pygame.display.set_mode(screen.windowed, pygame.RESIZABLE)
        screen.fit()

    def resized(self) -> None:
        """Take note that the user has resized the window."""
        self.screen.fit()

    def flip(self) -> None:
        """Show what was drawn."""
        if self.surface is not self.screen.surface:
            if self.surface.get_size() == self._part.size:
                self.screen.surface.blit(self.surface, self._part)
            else:
                self.screen.surface.blit(self._pygame.transform.smoothscale(self.surface, self._part.size), self._part)
        self._pygame.display.flip()

    def close(self) -> None:
        """Close it, and nothing that was not opened here; closing again is harmless."""
        self.screen.leave(self)


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
