"""A window that shows RGB frames, enlarged without smoothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_sim_env.optional import require

# [pixels] Frames are enlarged by a whole factor to about this width.
WIDTH = 640


class Window:
    """Opens with the first frame. Once its user has closed it, it stays closed and `show` does nothing.

    Args:
        title: of the window.
        fps: `show` waits so that frames come no faster than this.

    Raises:
        ImportError: if pygame is not installed.
    """

    def __init__(self, title: str, fps: int = 10):
        self._pygame = require("pygame", extra="viewer")
        self.title, self.fps = title, fps
        self.closed = False
        self._screen: Any = None

    def show(self, frame: np.ndarray) -> None:
        """Show a frame (H, W, 3) uint8 RGB."""
        if self.closed:
            return
        pygame = self._pygame
        height, width, _ = frame.shape
        scale = max(1, WIDTH // width)
        if self._screen is None:
            pygame.display.init()
            self._screen = pygame.display.set_mode((width * scale, height * scale))
            pygame.display.set_caption(self.title)
            self._clock = pygame.time.Clock()
        enlarged = np.repeat(np.repeat(frame, scale, 0), scale, 1)
        pygame.surfarray.blit_array(self._screen, enlarged.swapaxes(0, 1))
        pygame.display.flip()
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            self.close()
        else:
            self._clock.tick(self.fps)

    def close(self) -> None:
        """Close it for good; closing again is harmless."""
        if self._screen is not None:
            self._pygame.display.quit()
            self._screen = None
        self.closed = True
