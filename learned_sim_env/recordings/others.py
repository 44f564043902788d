"""Other road users of a recording, at the clock of a drive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learned_sim_env.recordings.recording import Track
from learned_sim_env.scene import Agents, wrap_angle
from learned_sim_env.spec import SemanticClass

# [s] Longest time over which someone who was not seen is taken to have gone on evenly.
UNSEEN = 1.5
# [s] Half of the time over which a velocity is measured.
HALF_WINDOW = 0.3
# [m/s] and [m] Who is never faster, and never gets farther, stands: what it seems to move is noise of the boxes.
STANDING, STAYING = 0.3, 0.8
# [m] Farther from the ego they are left out of a scene.
REACH = 60.0


@dataclass(frozen=True, eq=False)
class Moved:
    """Others that are not where they were recorded. rows: (M,) which. poses: (M, 3). velocities: (M, 2)."""

    rows: np.ndarray
    poses: np.ndarray
    velocities: np.ndarray


@dataclass(frozen=True, eq=False)
class Others:
    """N others, T moments. present: (N, T) bool. poses: (N, T, 3). velocities: (N, T, 2). kinds (N,), sizes (N, 2)."""

    present: np.ndarray
    poses: np.ndarray
    velocities: np.ndarray
    kinds: np.ndarray
    sizes: np.ndarray

    def agents(self, t: int, place: np.ndarray, moved: Moved | None = None, reach: float = REACH) -> Agents:
        """Those of moment `t` within `reach` of a place (2,), nearest first; some elsewhere, if `moved` says so."""
        poses, velocities, present = self.poses[:, t], self.velocities[:, t], self.present[:, t]
        if moved is not None and len(moved.rows):
            poses, velocities, present = poses.copy(), velocities.copy(), present.copy()
            poses[moved.rows], velocities[moved.rows], present[moved.rows] = moved.poses, moved.velocities, True
        distance = np.hypot(*(poses[:, :2] - place).T)
        rows = np.flatnonzero(present & (distance < reach))
        rows = rows[np.argsort(distance[rows], kind="stable")]
        return Agents(
            ids=rows.astype(np.int64),
            classes=self.kinds[rows],
            poses=poses[rows].astype(np.float32),
            sizes=self.sizes[rows].astype(np.float32),
            velocities=velocities[rows].astype(np.float32),
        )

    @staticmethod
    def none(moments: int = 1) -> Others:
        """Nobody at all."""
        count = (0, moments)
        return Others(
            np.zeros(count, bool), np.zeros((*count, 3)), np.zeros((*count, 2)), np.zeros(0, np.uint8), np.zeros((0, 2))
        )

    def only(self, rows: np.ndarray) -> Others:
        """Those of a mask (N,)."""
        return Others(self.present[rows], self.poses[rows], self.velocities[rows], self.kinds[rows], self.sizes[rows])

    def near(self, poses: np.ndarray, reach: float) -> np.ndarray:
        """(N,) share of their moments at which they are within `reach` metres of poses (T, 3)."""
        close = (np.hypot(*np.moveaxis(self.poses[..., :2] - poses[:, :2], -1, 0)) < reach) & self.present
        return close.sum(1) / np.maximum(self.present.sum(1), 1)


def others_at(tracks: Sequence[Track], times: np.ndarray, origin: np.ndarray) -> Others:
    """The tracks that are there at any of `times` (T,), moved by -`origin` (2,)."""
    rows = [(track, *_resampled(track, times)) for track in tracks if _meets(track, times)]
    rows = [row for row in rows if row[1].any()]
    count = len(rows)
    present = np.array([row[1] for row in rows], bool).reshape(count, len(times))
    poses = np.array([row[2] for row in rows], np.float64).reshape(count, len(times), 3)
    poses[..., :2] -= origin * present[..., None]
    velocities = np.array([row[3] for row in rows], np.float64).reshape(count, len(times), 2)
    return Others(
        present,
        poses,
        velocities,
        np.array([row[0].kind for row in rows], np.uint8),
        np.array([row[0].size for row in rows], np.float64).reshape(count, 2),
    )


def _meets(track: Track, times: np.ndarray) -> bool:
    return len(track.times) > 0 and track.times[0] <= times[-1] and track.times[-1] >= times[0]


def _resampled(track: Track, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether it is there (T,), its poses (T, 3) and velocities (T, 2); zeros where it is not."""
    known = track.times
    if len(known) == 1:
        present = np.abs(times - known[0]) <= 0.05
        still = np.where(present[:, None], track.poses, 0.0)
        return present, still, np.zeros((len(times), 2))
    # Half a step more at the ends: clocks differ by some milliseconds.
    present = (times >= known[0] - 0.05) & (times <= known[-1] + 0.05)
    after = np.clip(np.searchsorted(known, times), 1, len(known) - 1)
    present &= known[after] - known[after - 1] <= UNSEEN
    heading = _steady(np.unwrap(track.poses[:, 2]))
    columns = (track.poses[:, 0], track.poses[:, 1], heading)
    poses = np.stack([np.interp(times, known, column) for column in columns], -1)
    ahead = np.clip(times + HALF_WINDOW, known[0], known[-1])
    behind = np.clip(times - HALF_WINDOW, known[0], known[-1])
    moved = np.stack([np.interp(ahead, known, c) - np.interp(behind, known, c) for c in columns[:2]], -1)
    velocities = moved / np.maximum(ahead - behind, 1e-3)[:, None]
    stays = np.ptp(track.poses[:, :2], axis=0).max() < STAYING
    slow = present.any() and np.hypot(*velocities[present].T).mean() < STANDING
    if track.kind == SemanticClass.STATIC_OBJECT or (stays and slow):
        velocities = np.zeros_like(velocities)
    poses[:, 2] = wrap_angle(poses[:, 2])
    return present, np.where(present[:, None], poses, 0.0), np.where(present[:, None], velocities, 0.0)


def _steady(headings: np.ndarray) -> np.ndarray:
    """Headings (N,) without flips by half a turn, which detectors make."""
    flips = np.round(np.diff(headings, prepend=headings[0]) / np.pi)
    return headings - np.pi * np.cumsum(flips)
