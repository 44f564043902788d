"""Polylines (N, 2) [m]: lengths, resampling, directions, places beside them."""

from __future__ import annotations

import numpy as np


def clean(line: np.ndarray) -> np.ndarray:
    """The line without points that repeat the one before."""
    if not len(line):
        return np.zeros((0, 2))
    line = np.asarray(line, np.float64)[:, :2]
    return line[np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 1e-3])]


def lengths(line: np.ndarray) -> np.ndarray:
    """(N,) distance of each point from the first along the line."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def at(line: np.ndarray, s: np.ndarray) -> np.ndarray:
    """(M, 2) points at `s` (M,) metres along the line."""
    known = lengths(line)
    return np.stack([np.interp(s, known, line[:, k]) for k in (0, 1)], -1)


def resampled(line: np.ndarray, count: int) -> np.ndarray:
    """(count, 2) points at equal distances along the line."""
    return at(line, np.linspace(0.0, lengths(line)[-1], count))


def spaced(line: np.ndarray, spacing: float) -> np.ndarray:
    """The line with a point about every `spacing` metres, its ends among them."""
    return resampled(line, max(2, int(np.ceil(lengths(line)[-1] / spacing)) + 1))


def headings(line: np.ndarray) -> np.ndarray:
    """(N,) directions [rad], unwrapped, at the points: means of those of the pieces around."""
    pieces = np.unwrap(np.arctan2(*np.diff(line, axis=0).T[::-1]))
    return np.concatenate([pieces[:1], (pieces[1:] + pieces[:-1]) / 2, pieces[-1:]])


def turn(line: np.ndarray) -> float:
    """How far its direction turns in all [rad], left positive."""
    pieces = np.unwrap(np.arctan2(*np.diff(line, axis=0).T[::-1]))
    return float(pieces[-1] - pieces[0])


def beside(line: np.ndarray, offset: np.ndarray | float) -> np.ndarray:
    """(N, 2) points `offset` metres to the left of the line's points (right if negative)."""
    angle = headings(line)
    return line + np.reshape(offset, (-1, 1)) * np.stack([-np.sin(angle), np.cos(angle)], -1)


def nearest(line: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of points (P, 2): how far along the line they are (P,), how far from it (P,), and its direction there (P,)."""
    start, piece = line[:-1], np.diff(line, axis=0)
    length2 = np.maximum((piece**2).sum(-1), 1e-12)
    fraction = np.clip(((points[:, None] - start) * piece).sum(-1) / length2, 0.0, 1.0)
    distance2 = ((points[:, None] - start - fraction[..., None] * piece) ** 2).sum(-1)
    i = distance2.argmin(1)
    rows = np.arange(len(points))
    s = lengths(line)[i] + fraction[rows, i] * np.sqrt(length2[i])
    return s, np.sqrt(distance2[rows, i]), np.arctan2(piece[i, 1], piece[i, 0])


def averaged(line: np.ndarray, reach: int) -> np.ndarray:
    """The line, each point the mean of those up to `reach` before and after; its ends stay."""
    n = min(reach, (len(line) - 1) // 2)
    if n < 1:
        return line
    ends = [2 * line[:1] - line[n:0:-1], line, 2 * line[-1:] - line[-2 : -n - 2 : -1]]
    total = np.cumsum(np.concatenate([np.zeros((1, 2)), *ends]), axis=0)
    return (total[2 * n + 1 :] - total[: -2 * n - 1]) / (2 * n + 1)
