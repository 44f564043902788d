"""The window of render mode "human": the viewer's picture, and nothing that could be driven with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np

from learned_sim_env.display import theme
from learned_sim_env.display.board import Board
from learned_sim_env.display.display import Display, DisplayTakenError
from learned_sim_env.display.frame import TRAIL, Frame
from learned_sim_env.optional import require


class Window:
    """Opens with the first frame. Once its user has closed it, it stays closed and nothing is shown.

    Pygame gives a process one window: several of these share it side by side, and where the program itself has opened
    one, nothing is shown. Nor is anything once something else in the process has closed pygame's window.

    Its keys: C for other colours, F for full screen, Esc to close it.

    Args:
        title: of the window.
        fps: frames come no faster than this.

    Raises:
        ImportError: if pygame or Pillow is not installed.
    """

    def __init__(self, title: str, fps: int = 10):
        self._pygame = require("pygame", extra="viewer")
        self.title, self.fps = title, fps
        self.closed = False
        self._board = Board()
        self._display: Display | None = None
        self._step, self._trail = -1, np.zeros(0, np.float32)

    def show(self, frame: Frame) -> None:
        """Show a moment; the uncertainty of those before it is remembered."""
        now = np.array([frame.info["uncertainty"]], np.float32)
        if frame.step == self._step + 1 and frame.step:
            self._trail = np.concatenate([self._trail, now])[-TRAIL:]
        elif frame.step != self._step or not len(self._trail):
            self._trail = now
        self._step = frame.step
        shown = replace(frame, trail=self._trail)

        def draw(display: Display) -> None:
            status = replace(frame.status, palette=display.screen.palette)
            self._board.draw(display.surface, replace(shown, status=status))

        self._draw(draw)

    def show_picture(self, rgb: np.ndarray) -> None:
        """Show a picture (H, W, 3) uint8, enlarged by a whole factor."""

        def draw(display: Display) -> None:
            surface, (height, width) = display.surface, rgb.shape[:2]
            factor = max(1, min(surface.get_width() // width, surface.get_height() // height))
            image = self._pygame.image.frombuffer(np.ascontiguousarray(rgb).tobytes(), (width, height), "RGB")
            surface.fill(theme.theme(display.screen.palette).background)
            enlarged = self._pygame.transform.scale(image, (factor * width, factor * height))
            surface.blit(enlarged, enlarged.get_rect(center=surface.get_rect().center))

        self._draw(draw)

    def close(self) -> None:
        """Close it for good; closing again is harmless."""
        if self._display is not None:
            self._display.close()
            self._display = None
        self.closed = True

    def _draw(self, draw: Callable[[Display], None]) -> None:
        if self.closed:
            return
        if self._display is None:
            try:
                self._display = Display(self.title)
            except DisplayTakenError as error:
                gym.logger.warn(f"nothing is shown: {error}")
                return self.close()
            self._clock = self._pygame.time.Clock()
        display = self._display
        if not display.there:
            return self.close()
        draw(display)
        display.flip()
        for event in self._pygame.event.get():
            if event.type == self._pygame.VIDEORESIZE:
                display.resized()
            elif event.type == self._pygame.QUIT or self._is(event, self._pygame.K_ESCAPE):
                # Of whichever of those that share it the picture was: it is one window.
                for sharing in list(display.screen.displays):
                    sharing.close()
                return self.close()
            elif self._is(event, self._pygame.K_f):
                display.toggle_full_screen()
            elif self._is(event, self._pygame.K_c):
                display.screen.palette = theme.after(display.screen.palette)
        self._clock.tick(self.fps)

    def _is(self, event: Any, key: int) -> bool:
        return event.type == self._pygame.KEYDOWN and event.key == key
