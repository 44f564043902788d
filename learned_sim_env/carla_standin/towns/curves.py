"""Plane curves of lines and arcs: all that the towns' roads are made of. x, y in metres, heading counter-clockwise."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, hypot, pi, sin, sqrt

# [1/m] An arc flatter than this is a line.
STRAIGHT = 1e-6


@dataclass(frozen=True)
class Pose:
    """A place [m] and a direction [rad]."""

    x: float
    y: float
    heading: float

    def moved(self, forward: float, left: float = 0.0) -> Pose:
        """Shifted in its own frame [m]."""
        c, s = cos(self.heading), sin(self.heading)
        return Pose(self.x + forward * c - left * s, self.y + forward * s + left * c, self.heading)

    def turned(self, angle: float = pi) -> Pose:
        """The same place, looking elsewhere [rad]."""
        return Pose(self.x, self.y, self.heading + angle)


@dataclass(frozen=True)
class Piece:
    """A line, or an arc to the left where the curvature [1/m] is positive, of a length [m] from a start."""

    start: Pose
    length: float
    curvature: float = 0.0

    @property
    def end(self) -> Pose:
        """Where it leads."""
        p, k = self.start, self.curvature
        if abs(k) < STRAIGHT:
            return p.moved(self.length)
        heading = p.heading + k * self.length
        return Pose(p.x + (sin(heading) - sin(p.heading)) / k, p.y - (cos(heading) - cos(p.heading)) / k, heading)


Path = tuple[Piece, ...]


def length(path: Path) -> float:
    """Of a whole path [m]."""
    return sum(piece.length for piece in path)


def line(start: Pose, distance: float) -> Path:
    """Straight on."""
    return (Piece(start, distance),)


def arc(start: Pose, radius: float, angle: float) -> Path:
    """Along a circle of `radius` [m] until the heading has turned by `angle` [rad], left if positive."""
    return (Piece(start, radius * abs(angle), (1.0 if angle > 0 else -1.0) / radius),)


def connect(start: Pose, end: Pose) -> Path:
    """A smooth path between two poses: two arcs that meet halfway, with equal tangent lengths (a biarc)."""
    vx, vy = end.x - start.x, end.y - start.y
    t1, t2 = (cos(start.heading), sin(start.heading)), (cos(end.heading), sin(end.heading))
    tx, ty = t1[0] + t2[0], t1[1] + t2[1]
    along, square = vx * tx + vy * ty, vx * vx + vy * vy
    rest = 2.0 * (1.0 - (t1[0] * t2[0] + t1[1] * t2[1]))
    # Tangent length d of both arcs solves rest d^2 + 2 along d - square = 0.
    d = square / (2.0 * along) if rest < 1e-9 else (-along + sqrt(along * along + rest * square)) / rest
    meet = (start.x + end.x + d * (t1[0] - t2[0])) / 2, (start.y + end.y + d * (t1[1] - t2[1])) / 2
    first = _arc_to(start, *meet)
    # The second arc is found from its end, driven backwards.
    back = _arc_to(end.turned(), *meet)
    second = Piece(back.end.turned(-pi), back.length, -back.curvature)
    return tuple(piece for piece in (first, second) if piece.length > 1e-3)


def _arc_to(start: Pose, x: float, y: float) -> Piece:
    """The arc that leaves `start` along its heading and reaches a point."""
    dx, dy = x - start.x, y - start.y
    chord = hypot(dx, dy)
    # Half the angle that the arc turns by.
    half = (atan2(dy, dx) - start.heading + pi) % (2 * pi) - pi
    if abs(half) < 1e-6:
        return Piece(start, chord)
    curvature = 2 * sin(half) / chord
    return Piece(start, 2 * half / curvature, curvature)
