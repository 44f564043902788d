"""The whole picture: views, panels, where it all comes from, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learned_sim_env.display.frame import Frame, Views
from learned_sim_env.display.layout import PANELS, SMALLEST, WATCHING, Layout, arrange
from learned_sim_env.display.painter import Painter, Type
from learned_sim_env.display.panels import DRAWN, NORMAL, SMALL, Panel, lines
from learned_sim_env.display.rect import Rect
from learned_sim_env.display.theme import Theme, theme
from learned_sim_env.spec import SemanticClass

# What is the same in dream and twin is drawn this dark in the picture of their difference.
DARKENED = 0.35
# Of a pixel's side, the overlay's dot where nothing is certain.
DOT = 0.7
# How much of a camera's pixel the overlay's colour takes where nothing is certain.
TINT = 0.8


class Board:
    """Draws frames; the same frame at the same size gives the same pixels. Needs no display.

    Attributes:
        layout, painter: of the last picture.
    """

    def __init__(self) -> None:
        self._type = Type()
        self.layout: Layout
        self.painter: Painter

    def draw(self, surface: Any, frame: Frame, keys: Sequence[tuple[str, str]] = ()) -> None:
        """Draw a frame.

        Args:
            surface: a pygame surface of at least `layout.SMALLEST`.
            frame: what to show.
            keys: names and meanings, to be shown over it; none: not shown.
        """
        colours = theme(frame.status.palette)
        self._driven = bool(frame.status.rate)
        self.painter = p = Painter(surface, self._type)
        names = tuple(PANELS) if self._driven else WATCHING
        cameras, maps = ({n: frame.views[n].shape[:2] for n in kind} for kind in (frame.cameras, frame.maps))
        self.layout = layout = arrange(surface.get_size(), cameras, maps, frame.twin_wanted, names)
        p.fill(Rect(0, 0, *surface.get_size()), colours.background)
        self._header(frame, colours)
        self._views(frame, colours)
        pad, radius = layout.px(10), layout.px(8)
        for name, rect in layout.panels.items():
            p.fill(rect, colours.panel, radius)
            inner = Rect(rect.x + pad, rect.y + pad // 2, rect.width - 2 * pad, rect.height - pad)
            DRAWN[name](Panel(p, colours, layout, inner, frame))
        if frame.info["end_reason"]:
            self._end(frame.info["end_reason"], layout.views, colours, self._driven)
        hint = Rect(layout.footer.right - layout.px(110), layout.footer.y, layout.px(110), layout.footer.height)
        note = Rect(layout.footer.x, layout.footer.y, layout.footer.width - hint.width, hint.height)
        p.text(note, frame.status.note, layout.px(NORMAL), colours.warn)
        if self._driven:
            p.text(hint, "F1: keys", layout.px(SMALL), colours.dim, "r")
        if keys:
            self._keys(keys, colours)

    def _header(self, frame: Frame, colours: Theme) -> None:
        """Imagined or real, and since when; which start, what the viewer is doing."""
        p, layout, rect = self.painter, self.layout, self.layout.header
        words, colour = source_of(frame, colours)
        px = layout.px(NORMAL)
        pill = Rect(rect.x, rect.y, min(p.type.width(words, px) + layout.px(28), rect.width * 2 // 3), rect.height)
        p.fill(pill, colour, rect.height // 2)
        p.text(pill.inset(layout.px(4)), words, px, colours.background, "c")
        right, status, gap = rect.right, frame.status, layout.px(8)
        for on, text, tint in (
            (status.recording, "REC", colours.bad),
            (status.paused, "PAUSED", colours.accent),
        ):
            if on:
                width = p.type.width(text, px) + layout.px(20)
                tag = Rect(right - width, rect.y, width, rect.height)
                p.frame(tag, tint, layout.px(2), rect.height // 2)
                p.text(tag.inset(layout.px(4)), text, px, tint, "c")
                right = tag.x - gap
        room = Rect(pill.right + gap, rect.y, right - pill.right - gap, rect.height)
        upper, lower = lines(room, 2)
        info = frame.info
        start = f"context {info['context']}" if info["context"] >= 0 else ""
        if frame.seed >= 0:
            start += f"  seed {frame.seed}"
        p.text(upper, start.strip(), layout.px(SMALL), colours.dim, "r")
        p.text(lower, ", ".join(info["scenario_tags"]), layout.px(SMALL), colours.dim, "r")

    def _views(self, frame: Frame, colours: Theme) -> None:
        p, layout = self.painter, self.layout
        self._pictures(layout.views, frame.views, colours, frame.overlay or {})
        if not frame.twin_wanted:
            return
        captions = {
            "dream": source_of(frame, colours),
            "twin": ("real: the simulator", colours.good),
            "difference": ("difference", colours.text),
            "dream map": ("imagined", colours.warn),
            "twin map": ("real", colours.good),
        }
        for name, rect in layout.captions.items():
            words, colour = captions[name]
            p.text(rect, words, layout.px(SMALL), colour)
        twin = frame.twin
        if twin is None:
            for rect in (*layout.twin_views.values(), *layout.differences.values()):
                p.fill(rect, colours.panel)
                p.text(rect.inset(layout.px(8)), "not there yet", layout.px(NORMAL), colours.dim, "c")
            return
        self._pictures(layout.twin_views, twin.views, colours, {})
        for name, rect in layout.differences.items():
            p.picture(rect, difference(frame.views[name], twin.views[name], colours))
        if twin.end_reason:
            self._end(twin.end_reason, layout.twin_views, colours, keys=False)
        self._numbers(frame, colours)

    def _pictures(self, places: Mapping[str, Rect], views: Views, colours: Theme, overlays: Views) -> None:
        """Views, each with its overlay: dots on classes, a tint on what cameras see."""
        for name, rect in places.items():
            view, overlay = views[name], overlays.get(name)
            if view.ndim == 2:
                self.painter.picture(rect, colours.classes[view])
                if overlay is not None:
                    self._dots(rect, overlay, colours)
            else:
                self.painter.picture(rect, view if overlay is None else tinted(view, overlay, colours), smooth=True)

    def _dots(self, view: Rect, overlay: np.ndarray, colours: Theme) -> None:
        """A dot on each pixel, the larger the less it is certain: what it covers can still be read around it."""
        factor = view.width // overlay.shape[1]
        for row, column in np.argwhere(overlay):
            side = max(2, round(DOT * factor * float(overlay[row, column] / 255) ** 0.5))
            margin = (factor - side) // 2
            dot = Rect(view.x + int(column) * factor + margin, view.y + int(row) * factor + margin, side, side)
            self.painter.fill(dot, colours.background)
            self.painter.fill(dot.inset(1), colours.text)

    def _numbers(self, frame: Frame, colours: Theme) -> None:
        """What dream and twin differ in, side by side."""
        p, layout, twin, rect = self.painter, self.layout, frame.twin, self.layout.numbers
        assert twin is not None
        assert rect is not None
        rows = [
            ("", "dream", "twin"),
            ("speed [m/s]", f"{frame.ego[0]:.1f}", f"{twin.speed:.1f}"),
            ("reward", f"{frame.reward_total:+.1f}", f"{twin.reward_total:+.1f}"),
            ("cost", f"{frame.cost_total:g}", f"{twin.cost_total:g}"),
            ("apart [m]", f"{twin.apart:.2f}", ""),
        ]
        rows += [("equal pixels", f"{np.mean(frame.views[n] == twin.views[n]):.1%}", "") for n in frame.maps]
        if frame.cameras:
            alike = np.mean([psnr(frame.views[n], twin.views[n]) for n in frame.cameras])
            rows += [("PSNR [dB]", f"{alike:.1f}", "")]
        px = layout.px(NORMAL)
        inner = rect.inset(layout.px(10))
        top = inner.y + layout.px(12)
        inner = Rect(inner.x, top, inner.width, min(inner.bottom - top, len(rows) * layout.px(30)))
        for room, (name, dream, other) in zip(lines(inner, len(rows)), rows):
            width = room.width // 10
            p.text(Rect(room.x, room.y, 4 * width, room.height), name, px, colours.dim)
            p.text(Rect(room.x + 4 * width, room.y, 3 * width, room.height), dream, px, colours.text, "r")
            p.text(Rect(room.x + 7 * width, room.y, 3 * width, room.height), other, px, colours.text, "r")

    def _end(self, reason: str, places: Mapping[str, Rect], colours: Theme, keys: bool) -> None:
        """How it ended, across the largest view; keys: with those that go on from there."""
        p, layout = self.painter, self.layout
        view = places.get(layout.main, Rect(layout.header.x, layout.header.bottom, layout.header.width, layout.px(250)))
        band = Rect(view.x, view.y + view.height // 3, view.width, min(layout.px(84), view.height // 3))
        p.shade(band, colours.background, 225)
        colour = colours.good if reason == "arrival" else colours.warn if reason == "time_limit" else colours.bad
        title, hint = lines(band.inset(layout.px(6)), 2)
        p.text(title, reason.replace("_", " ").upper(), layout.px(30), colour, "c")
        if keys:
            p.text(hint, "R again   N next   Z rewind   V to the mark", layout.px(SMALL), colours.dim, "c")

    def _keys(self, keys: Sequence[tuple[str, str]], colours: Theme) -> None:
        p, layout = self.painter, self.layout
        whole = Rect(layout.header.x, layout.header.bottom, layout.header.width, layout.footer.y - layout.header.bottom)
        p.shade(whole, colours.background, 235, layout.px(10))
        p.frame(whole, colours.line, layout.px(1), layout.px(10))
        inner = whole.inset(layout.px(18))
        for room, (name, meaning) in zip(lines(inner, len(keys)), keys):
            width = room.width * 3 // 10
            px = layout.px(NORMAL)
            p.text(Rect(room.x, room.y, width - layout.px(10), room.height), name, px, colours.accent, "r")
            p.text(Rect(room.x + width, room.y, room.width - width, room.height), meaning, px, colours.text)


def source_of(frame: Frame, colours: Theme) -> tuple[str, tuple[int, int, int]]:
    """Where the view comes from, in words, and their colour."""
    if frame.source:
        return f"real: {frame.source}", colours.good
    steps = frame.info["imagined_steps"]
    if not steps:
        return "real start, as the model remembers it", colours.good
    return f"imagined, {steps} {'step' if steps == 1 else 'steps'} since real ({steps * frame.dt:.1f} s)", colours.warn


def difference(dream: np.ndarray, twin: np.ndarray, colours: Theme) -> np.ndarray:
    """RGB (H, W, 3) uint8: the dream, darkened, and bright where the twin (H, W) uint8 has another class.

    In the warning's colour what belongs to the map, in that of bad news what is an agent in one of the two.
    """
    picture = (colours.classes[dream] * DARKENED).astype(np.uint8)
    other = dream != twin
    agent = other & ((dream >= SemanticClass.STATIC_OBJECT) | (twin >= SemanticClass.STATIC_OBJECT))
    picture[other], picture[agent] = colours.warn, colours.bad
    return picture


def tinted(view: np.ndarray, overlay: np.ndarray, colours: Theme) -> np.ndarray:
    """A camera's picture (H, W, 3) uint8 with the warning's colour where an overlay (H, W) uint8 is high."""
    share = TINT * overlay[..., None].astype(np.float32) / 255
    return (view * (1 - share) + np.array(colours.warn, np.float32) * share).astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio [dB] of two pictures uint8; infinite where they are equal."""
    error = float(np.mean((one.astype(np.float32) - other) ** 2))
    return 10 * float(np.log10(255**2 / error)) if error else float("inf")


def picture_of(board: Board, frame: Frame, size: tuple[int, int]) -> np.ndarray:
    """A frame as an image (H, W, 3) uint8 of a `size` (width, height), without a window."""
    from learned_sim_env.optional import require

    pygame = require("pygame", extra="viewer")
    surface = pygame.Surface((max(size[0], SMALLEST[0]), max(size[1], SMALLEST[1])), depth=24)
    board.draw(surface, frame)
    width, height = surface.get_size()
    return np.frombuffer(pygame.image.tobytes(surface, "RGB"), np.uint8).reshape(height, width, 3)
