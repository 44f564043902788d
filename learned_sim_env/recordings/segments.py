"""Where a recording is cut: at gaps, long stops, takeovers, and where it is longer than an episode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from learned_sim_env.recordings.recording import EgoPath, Recording, RecordingError
from learned_sim_env.recordings.smoothing import V, drivable
from learned_sim_env.scene import wrap_angle

# [s] A car that was not seen for longer may have done anything.
LONGEST_GAP = 1.0
# [s] Less than this is no drive.
SHORTEST = 3.0
# [s] Of a stop that lasts longer, only so much is kept on both sides.
LONGEST_STOP, KEPT_STOP = 10.0, 2.0
# [m/s] Faster than this drives no car on a road.
FASTEST = 90.0
# Places a second that are used of those that were recorded.
MOST = 25


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a recording without gaps, at the contract's clock: times (T,), states (T, 4) of the rear axle."""

    times: np.ndarray
    states: np.ndarray
    notes: tuple[str, ...]


def smooth_piece(path: EgoPath, dt: float) -> Piece | str:
    """The path at the clock's times, or why it is none."""
    seconds = path.times[-1] - path.times[0]
    if seconds < SHORTEST:
        return f"{seconds:.1f} s without a gap are less than {SHORTEST:g} s"
    times = path.times[0] + dt * np.arange(int(seconds / dt + 1e-6) + 1)
    _check_motion(path)
    states, used, noise = drivable(path, times)
    if not (np.abs(states[:, V]) > 0.3).any():
        return f"the car stands still for {seconds:.1f} s"
    notes = []
    if left_out := int((~used).sum()):
        notes.append(f"{left_out} of {len(used)} places of the ego jump and are left out")
    if noise > path.noise:
        notes.append(f"places of the ego are noisy: they are taken to be off by {noise:.1f} m")
    return Piece(times, states[:, :4], tuple(notes))


def _check_motion(path: EgoPath) -> None:
    """`RecordingError` where places or headings are in other units, or in other frames, than they should be."""
    moved, dt = np.diff(path.places, axis=0), np.diff(path.times)
    speeds = np.hypot(*moved.T) / dt
    if (usual := float(np.median(speeds))) > FASTEST:
        raise RecordingError(f"the car drives {usual:.0f} m/s: are its places metres, and its times seconds?")
    if path.headings is None:
        return
    # Over half a second or more: from one moment to the next, noise may be all there is.
    every = max(1, int(0.5 / float(np.median(dt))))
    moved = path.places[every:] - path.places[:-every]
    rolling = np.hypot(*moved.T) > 1.0
    if rolling.sum() < 5:
        return
    turned = (path.headings[every:] + path.headings[:-every]) / 2
    jumps = np.abs(path.headings[every:] - path.headings[:-every]) > np.pi
    rolling &= ~jumps
    askew = np.abs(wrap_angle(np.arctan2(moved[rolling, 1], moved[rolling, 0]) - turned[rolling]))
    if len(askew) and np.pi - 1.0 > (off := float(np.median(askew))) > 0.5:
        raise RecordingError(
            f"the car moves {np.degrees(off):.0f} degrees beside where it points: are headings radians, "
            "counter-clockwise from the x axis?"
        )
    if len(askew) and off >= np.pi - 1.0:
        raise RecordingError("the car moves backwards all the time: are its headings turned by half a turn?")


def without_gaps(times: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of the pieces of `times` (N,) without gaps."""
    ends = [*np.flatnonzero(np.diff(times) > LONGEST_GAP), len(times) - 1]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return [(int(a), int(b)) for a, b in zip(starts, ends)]


def part(path: EgoPath, first: int, last: int) -> EgoPath:
    """Moments `first` to `last`, of which there need not be more than `MOST` a second."""
    seconds = path.times[last] - path.times[first]
    every = max(1, int((last - first) / max(seconds, 1e-3) / MOST))
    rows = slice(first, last + 1, every)
    headings = None if path.headings is None else path.headings[rows]
    return replace(path, times=path.times[rows], places=path.places[rows], headings=headings)


def cut(recording: Recording, times: np.ndarray, speeds: np.ndarray, limit: int) -> list[tuple[int, int]]:
    """First and last moment of drives in moments (T,): without long stops and takeovers, none over `limit` steps."""
    dt = times[1] - times[0]
    # Without labels, nobody is there who was.
    seen = [track.times[[0, -1]] for track in recording.tracks or ()]
    kept = np.ones(len(times), bool)
    if seen:
        kept = (times >= min(s[0] for s in seen) - 0.05) & (times <= max(s[1] for s in seen) + 0.05)
    standing = np.abs(speeds) < 0.1
    for a, b in _runs(standing):
        if (b - a) * dt > LONGEST_STOP:
            kept[a + int(KEPT_STOP / dt) : b + 1 - int(KEPT_STOP / dt)] = False
    cuts = np.zeros(len(times), bool)
    if "autonomous" in recording.signals:
        drove = recording.signals["autonomous"].at(times) > 0.5
        cuts[1:] = drove[1:] != drove[:-1]
    found = []
    for a, b in _runs(kept):
        starts = [a, *(int(i) for i in range(a + 1, b + 1) if cuts[i]), b + 1]
        for start, end in ((a, b - 1) for a, b in pairwise(starts)):
            # In equal parts, rather than a long one and a rest that is too short.
            parts = max(1, int(np.ceil((end - start) / limit)))
            edges = np.linspace(start, end, parts + 1).round().astype(int)
            found += [(int(i), int(j)) for i, j in pairwise(edges)]
    return found


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each run of true in a mask (N,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2])]
