"""The panels beside the view, one function each: what the step gave, what the model does not know, what it all cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from learned_sim_env.display.frame import TRAIL, Frame
from learned_sim_env.display.layout import Layout
from learned_sim_env.display.painter import Painter
from learned_sim_env.display.rect import Rect
from learned_sim_env.display.theme import Colour, Theme

# [design pixels] Of text.
SMALL, NORMAL, LARGE = 13, 15, 40
# A reward term that fills its bar.
FULL_BAR = 1.0
# Share of the bound from which the uncertainty is shown as a warning.
NEAR_BOUND = 0.7


@dataclass(frozen=True)
class Panel:
    """What a panel's function draws with. rect: the room inside its borders."""

    painter: Painter
    theme: Theme
    layout: Layout
    rect: Rect
    frame: Frame

    def heading(self, text: str, value: str = "", colour: Colour | None = None) -> Rect:
        """The first line, a value at its right; returns what is left below."""
        height = self.layout.px(20)
        row = Rect(self.rect.x, self.rect.y, self.rect.width, height)
        self.row(row, text, value, colour or self.theme.text)
        return Rect(row.x, row.bottom, row.width, self.rect.bottom - row.bottom)

    def row(self, rect: Rect, text: str, value: str, colour: Colour, size: float = SMALL) -> None:
        """A name at the left and what it is at the right."""
        half = rect.width * 5 // 12 if value else rect.width
        px = self.layout.px(size)
        self.painter.text(Rect(rect.x, rect.y, half, rect.height), text, px, self.theme.dim)
        if value:
            room = Rect(rect.x + half, rect.y, rect.width - half, rect.height)
            self.painter.text(room, value, px, colour, "r")

    def bar(self, rect: Rect, share: float, colour: Colour, centred: bool = False) -> None:
        """A bar filled to `share`, of [0, 1], or of [-1, 1] from its middle."""
        radius = rect.height // 2
        self.painter.fill(rect, self.theme.line, radius)
        share = float(np.clip(share, -1.0 if centred else 0.0, 1.0))
        whole = rect.width // 2 if centred else rect.width
        width = round(abs(share) * whole)
        if width:
            left = rect.x + whole * centred - width * (centred and share < 0)
            self.painter.fill(Rect(left, rect.y, width, rect.height), colour, min(radius, width // 2))
        if centred:
            self.painter.fill(Rect(rect.x + whole, rect.y - 1, 1, rect.height + 2), self.theme.dim)


def lines(rect: Rect, count: int) -> list[Rect]:
    """`count` rows of the same height."""
    edges = [rect.y + rect.height * i // count for i in range(count + 1)]
    return [Rect(rect.x, top, rect.width, bottom - top) for top, bottom in pairwise(edges)]


def driving(p: Panel) -> None:
    """Speed, steering, throttle and brake."""
    speed, _, steer, throttle = (float(v) for v in p.frame.ego[:4])
    body, left = p.heading("speed"), p.rect.width * 2 // 5 - p.layout.px(20)
    room = Rect(body.x, body.y, left, body.height * 2 // 3)
    p.painter.text(room, f"{speed:.1f} m/s", p.layout.px(LARGE), p.theme.text)
    p.painter.text(
        Rect(body.x, room.bottom, left, body.bottom - room.bottom),
        f"{3.6 * speed:.0f} km/h",
        p.layout.px(NORMAL),
        p.theme.dim,
    )
    left += p.layout.px(20)
    right = Rect(p.rect.x + left, p.rect.y, p.rect.width - left, p.rect.height)
    side = "right" if steer > 0 else "left"
    pedal = "throttle" if throttle >= 0 else "brake"
    values = (
        ("steer", steer, f"{abs(steer):.2f} {side}" if abs(steer) >= 0.005 else "straight", p.theme.accent),
        (pedal, throttle, f"{abs(throttle):.2f}", p.theme.good if throttle >= 0 else p.theme.bad),
    )
    for room, (name, share, text, colour) in zip(lines(right, 2), values):
        label, bar = lines(room, 2)
        p.row(label, name, text, p.theme.text)
        thick = p.layout.px(10)
        p.bar(Rect(bar.x, bar.y + (bar.height - thick) // 3, bar.width, thick), share, colour, centred=True)


def reward(p: Panel) -> None:
    """Every term of the step's reward, their sum, and the episode's so far."""
    f, theme = p.frame, p.theme
    body = p.heading("reward", f"{f.reward:+.2f}     episode {f.reward_total:+.1f}")
    terms = f.info["reward_terms"]
    for room, (name, value) in zip(lines(body, len(terms)), terms.items()):
        third = room.width * 3 // 8
        colour = theme.dim if abs(value) < 0.005 else theme.good if value > 0 else theme.bad
        px = p.layout.px(SMALL)
        p.painter.text(Rect(room.x, room.y, third, room.height), name.replace("_", " "), px, theme.dim)
        value_room = Rect(room.right - room.width // 6, room.y, room.width // 6, room.height)
        p.painter.text(value_room, f"{value:+.2f}", px, colour, "r")
        thick = p.layout.px(6)
        width = value_room.x - room.x - third - p.layout.px(8)
        bar = Rect(room.x + third, room.y + (room.height - thick) // 2, width, thick)
        p.bar(bar, value / FULL_BAR, colour, centred=True)


def cost(p: Panel) -> None:
    """What cost something in this step, and the episode's sum."""
    f, theme = p.frame, p.theme
    body = p.heading("cost", f"{f.info['cost']:g}     episode {f.cost_total:g}", theme.bad if f.info["cost"] else None)
    terms = f.info["cost_terms"]
    width, radius = body.width // len(terms), p.layout.px(5)
    for i, (name, value) in enumerate(terms.items()):
        room = Rect(body.x + i * width, body.y, width, body.height)
        p.painter.dot(room.x + radius, room.y + room.height // 2, radius, theme.bad if value else theme.line)
        label = Rect(room.x + 3 * radius, room.y, room.width - 3 * radius, room.height)
        p.painter.text(label, name.replace("_", " "), p.layout.px(SMALL), theme.text if value else theme.dim)


def uncertainty(p: Panel) -> None:
    """How unsure the model was over the last 30 s, and the bound at which the environment gives up."""
    f, theme = p.frame, p.theme
    if f.source:
        body = p.heading("uncertainty", "none: a simulator knows")
        return
    now, bounded = f.info["uncertainty"], np.isfinite(f.bound)
    colour = theme.bad if now > f.bound else theme.warn if now > NEAR_BOUND * f.bound else theme.accent
    body = p.heading("uncertainty", f"{now:.3f}     bound {f.bound:.3f}" if bounded else f"{now:.3f}", colour)
    plot = Rect(body.x, body.y + p.layout.px(4), body.width, body.height - p.layout.px(18))
    highest = max(1.25 * f.bound if bounded else 0.0, 1.1 * float(f.trail.max(initial=0.0)), 1e-6)

    def height(value: float) -> float:
        return plot.bottom - 1 - (plot.height - 1) * value / highest

    p.painter.line([(plot.x, plot.bottom - 1), (plot.right - 1, plot.bottom - 1)], theme.line)
    if bounded:
        dash, y = p.layout.px(6), round(height(f.bound))
        for x in range(plot.x, plot.right - dash, 2 * dash):
            p.painter.fill(Rect(x, y, dash, p.layout.px(1.5)), theme.bad)
    step = plot.width / (TRAIL - 1)
    points = [(plot.right - 1 - step * (len(f.trail) - 1 - i), height(float(v))) for i, v in enumerate(f.trail)]
    p.painter.line(points, colour, p.layout.px(2))
    axis = Rect(plot.x, plot.bottom, plot.width, body.bottom - plot.bottom)
    p.painter.text(axis, f"{TRAIL * f.dt:.0f} s ago", p.layout.px(SMALL - 2), theme.dim)
    p.painter.text(axis, "now", p.layout.px(SMALL - 2), theme.dim, "r")


def horizon(p: Panel) -> None:
    """How long ago something real was last observed."""
    f, theme = p.frame, p.theme
    if f.source:
        p.heading("since the last real view", "always real", theme.good)
        return
    steps = f.info["imagined_steps"]
    body = p.heading("since the last real view", f"{steps * f.dt:.1f} s, {steps} of {f.limit} steps")
    thick = p.layout.px(8)
    p.bar(Rect(body.x, body.y + (body.height - thick) // 2, body.width, thick), steps / f.limit, theme.warn)


def clock(p: Panel) -> None:
    """Time of the model and of the display, apart."""
    s, theme = p.frame.status, p.theme
    body = p.heading("a step takes", f"{s.rate:g} steps/s" if s.rate else "")
    halves = (("model", s.model_ms), ("display", s.display_ms))
    for i, (name, ms) in enumerate(halves):
        room = Rect(body.x + i * body.width // 2, body.y, body.width // 2 - p.layout.px(10), body.height)
        p.row(room, name, f"{ms:.1f} ms" if ms else "-", theme.text, NORMAL)


def session(p: Panel) -> None:
    """The driver, and what can be gone back to."""
    s, theme = p.frame.status, p.theme
    body = p.heading("driver", s.driver or "the program", theme.accent)
    marked = f"at {s.marked * p.frame.dt:.1f} s" if s.marked >= 0 else "none"
    futures = f"8 futures, {s.futures:.1f} s apart" if p.frame.overlay is not None else "off"
    pushed = f"strength {s.strength:g}" if s.strength else "not applicable"
    values = (("mark", marked), ("overlay", futures), ("perturbation", pushed))
    for room, (name, value) in zip(lines(body, len(values)), values):
        p.row(room, name, value, theme.text)


DRAWN: dict[str, Callable[[Panel], None]] = {
    f.__name__: f for f in (driving, reward, cost, uncertainty, horizon, clock, session)
}
