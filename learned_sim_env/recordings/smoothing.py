"""The path of a car that could have driven it, nearest to where it was recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from learned_sim_env.recordings.recording import EgoPath, RecordingError
from learned_sim_env.scene import wrap_angle

# How much what drives the motion changes in a second, as standard deviations of a random walk.
JERK = 2.0  # [m/s^2 a root second] of the acceleration along the car
# Of the curvature [1/m a root second] at a standstill; the faster, the less: lateral jerk is limited.
TURNING = 0.08
TURNING_SPEED = 5.0  # [m/s] at which it is half
# [m, rad a root second] What a car slips beside the model: little, so that the model drives the path again.
SLIP, YAW_SLIP = 0.005, 0.001
# [rad] Standard deviation of recorded headings: they may be off as a whole, the path itself says more.
HEADING_NOISE = 0.03
# [1/m] of the curvatures that cars drive, where nothing else tells.
USUAL_CURVATURE = 0.15
# Moments farther than so many times their noise from the path around them are left out. Iterations of that.
OUTLIER, ROUNDS = 4.0, 6

# [m/s^2, m/s^2, 1/m] What cars do not exceed along and across, and how sharply they turn.
HARDEST, HARDEST_ACROSS, SHARPEST = 8.0, 9.0, 0.3
# Share of the moments that may exceed it, and [m] the most noise that places are taken to have.
UNLIKELY, MOST_NOISE = 0.02, 1.0

X, Y, PSI, V, A, K = range(6)


def drivable(path: EgoPath, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """`smooth`, with places taken for noisier until a car could have driven the path; third value: that noise [m]."""
    while True:
        states, used = smooth(path, times)
        beyond = (np.abs(states[:, A]) > HARDEST) | (np.abs(states[:, K]) > SHARPEST)
        beyond |= np.abs(states[:, K]) * states[:, V] ** 2 > HARDEST_ACROSS
        if beyond.mean() <= UNLIKELY or 2 * path.noise > MOST_NOISE:
            return states, used, path.noise
        path = replace(path, noise=2 * path.noise)


def smooth(path: EgoPath, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States (T, 6) float64 of the rear axle at `times` (T,), within those of the path, and which moments were used.

    Columns: x, y [m], heading [rad, unwrapped], speed [m/s], acceleration [m/s^2], curvature [1/m, + is left].
    An extended Kalman filter and a Rauch-Tung-Striebel smoother (Saerkkae, Bayesian Filtering and Smoothing, sections
    5.2 and 9.1) over a single-track car whose acceleration and curvature walk at random. Second value: (N,) bool.
    """
    used = np.ones(len(path.times), bool)
    headings = initial_headings(path)
    moments = np.union1d(path.times, times)
    rows = np.searchsorted(moments, path.times)
    for _ in range(ROUNDS):
        states = _smoothed(path, headings, moments, rows, used)
        seen = states[rows]
        places = seen[:, :2] + path.origin * np.stack([np.cos(seen[:, PSI]), np.sin(seen[:, PSI])], -1)
        away = np.hypot(*(path.places - places).T)
        # Noise of a log is what it is: nothing that most of it shows is an outlier.
        limit = OUTLIER * max(path.noise, 1.5 * float(np.median(away[used])))
        if not (used & (away > limit)).any():
            break
        # The worst first: they draw the path away from those around them.
        used = away <= max(limit, 0.5 * float(away[used].max()))
        if used.sum() < max(2, len(used) // 2):
            raise RecordingError(f"the ego's places jump: half of them are more than {limit:.1f} m from any path")
    return states[np.searchsorted(moments, times)], used


def initial_headings(path: EgoPath) -> np.ndarray:
    """(N,) headings [rad], unwrapped: the recorded ones, or where only places are known the directions it went in."""
    if path.headings is not None:
        return np.unwrap(path.headings)
    # Over at least half a metre: noise of a car that stands has no direction.
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path.places, axis=0).T))])
    if s[-1] < 1.0:
        raise RecordingError("the ego never moves and its headings are not recorded: it points nowhere")
    ahead = np.stack([np.interp(s + 0.5, s, path.places[:, k]) for k in (0, 1)], -1)
    behind = np.stack([np.interp(s - 0.5, s, path.places[:, k]) for k in (0, 1)], -1)
    return np.unwrap(np.arctan2(*(ahead - behind).T[::-1]))


def _smoothed(
    path: EgoPath, headings: np.ndarray, moments: np.ndarray, rows: np.ndarray, used: np.ndarray
) -> np.ndarray:
    """States (M, 6) at all moments (M,)."""
    observed = np.full(len(moments), -1)
    observed[rows[used]] = np.flatnonzero(used)
    first = int(np.flatnonzero(used)[0])
    state = np.zeros(6)
    state[PSI] = headings[first]
    towards = np.array([np.cos(state[PSI]), np.sin(state[PSI])])
    state[:2] = path.places[first] - path.origin * towards
    later = int(np.flatnonzero(used & (path.times >= path.times[first] + 0.3))[:1].sum()) or first + 1
    later = min(later, len(headings) - 1)
    state[V] = (path.places[later] - path.places[first]) @ towards / max(path.times[later] - path.times[first], 1e-3)
    covariance = np.diag([1.0, 1.0, 0.1, 4.0, 4.0, 0.01])
    noise = np.array([path.noise**2, path.noise**2, HEADING_NOISE**2, USUAL_CURVATURE**2])
    if path.headings is None:
        # From places, which count already.
        noise[2] = 1.0
    steps = np.diff(moments, prepend=moments[0])
    shape = (len(moments), 6)
    before, after = np.empty(shape), np.empty(shape)
    covariances_before, covariances_after = np.empty((*shape, 6)), np.empty((*shape, 6))
    transitions = np.empty((*shape, 6))
    identity = np.eye(6)
    for i, dt in enumerate(steps):
        if i:
            state, transition, spread = _forward(state, dt)
            covariance = transition @ covariance @ transition.T
            covariance[range(6), range(6)] += spread
            transitions[i] = transition
        before[i], covariances_before[i] = state, covariance
        j = observed[i]
        if j >= 0:
            c, s = np.cos(state[PSI]), np.sin(state[PSI])
            h = np.zeros((4, 6))
            h[0, X] = h[1, Y] = h[2, PSI] = h[3, K] = 1.0
            h[0, PSI], h[1, PSI] = -path.origin * s, path.origin * c
            error = np.array(
                [
                    path.places[j, 0] - state[X] - path.origin * c,
                    path.places[j, 1] - state[Y] - path.origin * s,
                    wrap_angle(headings[j] - state[PSI]),
                    -state[K],
                ]
            )
            cross = covariance @ h.T
            innovation = h @ cross
            innovation[range(4), range(4)] += noise
            gain = np.linalg.solve(innovation, cross.T).T
            state = state + gain @ error
            rest = identity - gain @ h
            covariance = rest @ covariance @ rest.T + (gain * noise) @ gain.T
        after[i], covariances_after[i] = state, covariance
    for i in range(len(moments) - 2, -1, -1):
        gain = np.linalg.solve(covariances_before[i + 1], transitions[i + 1] @ covariances_after[i]).T
        after[i] = after[i] + gain @ (after[i + 1] - before[i + 1])
    return after


def _forward(state: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """State (6,) after `dt` seconds, its derivative (6, 6) by the state before, and the noise it gains (6,)."""
    x, y, psi, v, a, k = state
    way = v * dt + a * dt * dt / 2
    middle = psi + k * way / 2
    c, s = np.cos(middle), np.sin(middle)
    after = np.array([x + way * c, y + way * s, psi + k * way, v + a * dt, a, k])
    # Of the way and of the direction in its middle, by v, a and k.
    dway = (dt, dt * dt / 2, 0.0)
    dmiddle = (k * dt / 2, k * dt * dt / 4, way / 2)
    transition = np.eye(6)
    transition[X, PSI], transition[Y, PSI] = -way * s, way * c
    for column, dw, dm in zip((V, A, K), dway, dmiddle):
        transition[X, column] = dw * c - way * s * dm
        transition[Y, column] = dw * s + way * c * dm
        transition[PSI, column] = 2 * dm
    transition[V, A] = dt
    turning = TURNING / (1 + (v / TURNING_SPEED) ** 2)
    spread = np.array([SLIP, SLIP, YAW_SLIP, 0.0, JERK, turning]) ** 2 * dt
    return after, transition, spread
