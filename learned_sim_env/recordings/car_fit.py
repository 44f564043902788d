"""How the car in a log answers to what was measured on it: gains, offset, delays, understeer, from minutes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from learned_sim_env.recordings.car import PEDALS, SingleTrack
from learned_sim_env.recordings.controls import pushed
from learned_sim_env.recordings.recording import Recording

# [s] Delays and [s^2/m^2] understeer that are tried: kappa = steering / (1 + K v^2) (Rajamani, Vehicle Dynamics and
# Control, section 3.3, steady-state cornering).
DELAYS = np.arange(0.0, 0.51, 0.05)
UNDERSTEER = np.linspace(0.0, 0.006, 25)
# Seconds of driving that a fit needs, [m/s] how fast it has to be, and the share of the variance that it must explain.
LEAST_SECONDS, LEAST_SPEED, LEAST_SHARE = 15.0, 2.0, 0.5
# [s] Windows in which the car's turning is looked at.
TURNED = 1.0
# [m/s] Speeds have to differ by this (from the 5th to the 95th percentile) for understeer to be told from the gain.
LEAST_SPREAD = 5.0
# Points of throttle_brake between which the answer is linear; [m/s^2] that it rises at least from one to the next.
KNOTS, RISE = np.array([-1.0, -0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0]), 1e-3
# Share of the log that a first fit is made of, to be judged on the rest; [s] that it is judged over.
FIRST, AHEAD = 2 / 3, 1.0

# Moments of a drive: times (T,) and states (T, 4).
Pieces = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class SteeringGain:
    """Curvature [1/m] = (slope * signal(t - delay) + offset) / (1 + understeer * speed^2).

    signal: its name. share: of the variance of how far it turns in a second.
    """

    signal: str
    slope: float
    offset: float
    delay: float
    understeer: float
    share: float

    @property
    def wheelbase(self) -> float:
        """[m] That road wheels have by this; of other signals it is their scale times that."""
        return 1 / self.slope


@dataclass(frozen=True)
class PedalGain:
    """Acceleration [m/s^2] by throttle_brake(t - delay): `points` of both, ascending. share: of its variance."""

    points: tuple[tuple[float, float], ...]
    delay: float
    share: float


@dataclass(frozen=True)
class CarFit:
    """steering, pedals: what could be fitted. seconds: of driving. ade: mean distance [m] over a second from the path
    of the last third, driven with what was measured there and a fit of the first two thirds; None if it is too short.
    notes: sentences."""

    steering: SteeringGain | None
    pedals: PedalGain | None
    seconds: float
    ade: float | None = None
    notes: tuple[str, ...] = ()

    def of(self, car: SingleTrack) -> SingleTrack:
        """A car that answers so."""
        if self.steering is not None:
            s = self.steering
            car = replace(car, understeer=s.understeer, steering_delay=s.delay)
            if s.signal == "steer":
                car = replace(car, full_lock=abs(s.slope), offset=s.offset)
        if self.pedals is not None:
            car = replace(car, pedals=self.pedals.points, pedal_delay=self.pedals.delay)
        return car


def fit_car(recording: Recording, pieces: Pieces, dt: float, judge: bool = True) -> CarFit:
    """Of the pieces of a recording."""
    seconds = sum(len(times) * dt for times, _ in pieces)
    if seconds < LEAST_SECONDS:
        return CarFit(
            None, None, seconds, notes=(f"{seconds:.0f} s are too few to fit the car: {LEAST_SECONDS:g} are",)
        )
    notes = []
    steering, pedals = _steering(recording, pieces, dt), _pedals(recording, pieces, dt)
    for name, found in (("steering", steering), ("pedals", pedals)):
        if isinstance(found, str):
            notes.append(f"{name} of the car cannot be fitted: {found}")
    s = None if isinstance(steering, str) else steering
    p = None if isinstance(pedals, str) else pedals
    ade = None
    if judge and s is not None:
        first, last = _split(pieces)
        early = _steering(recording, first, dt)
        if not isinstance(early, str):
            ade = mean_distance(early, recording, last, dt)
    if s is not None:
        notes.append(_told(s, ade))
    if p is not None:
        full = p.points[-1][1], p.points[0][1]
        notes.append(
            f"pedals fitted: full throttle {full[0]:+.1f}, full brake {full[1]:+.1f} m/s^2, {p.delay:.2f} s late "
            f"({p.share:.0%} of the acceleration explained)"
        )
    return CarFit(s, p, seconds, ade, tuple(notes))


def mean_distance(gain: SteeringGain, recording: Recording, pieces: Pieces, dt: float) -> float | None:
    """[m] Over `AHEAD` seconds from every half second on, from the path, steered as measured, at the path's speeds."""
    steps, found = round(AHEAD / dt), []
    for times, states in pieces:
        middle = (times[1:] + times[:-1]) / 2
        signal = recording.signals[gain.signal].at(middle - gain.delay)
        speeds = (states[1:, 3] + states[:-1, 3]) / 2
        curvature = (gain.slope * signal + gain.offset) / (1 + gain.understeer * speeds**2)
        for t in range(0, len(times) - steps, max(1, steps // 2)):
            if not np.isfinite(curvature[t : t + steps]).all() or speeds[t : t + steps].min() < LEAST_SPEED:
                continue
            way = speeds[t : t + steps] * dt
            turned = states[t, 2] + np.concatenate([[0.0], np.cumsum(curvature[t : t + steps] * way)])
            heading = (turned[1:] + turned[:-1]) / 2
            places = states[t, :2] + np.cumsum(way[:, None] * np.stack([np.cos(heading), np.sin(heading)], -1), axis=0)
            found.append(np.hypot(*(places - states[t + 1 : t + steps + 1, :2]).T).mean())
    return float(np.mean(found)) if found else None


def _steering(recording: Recording, pieces: Pieces, dt: float) -> SteeringGain | str:
    """The gain, or why there is none: least squares of how far the car has turned in `TURNED` seconds.

    By the headings as they were recorded: those of the path are smooth, and turn less than the car.
    """
    name = next((n for n in ("steer", "road_wheel", "steering_wheel") if n in recording.signals), "")
    if not name:
        return "it was not measured"
    rolling = np.concatenate([states[:, 3] for _, states in pieces])
    rolling = rolling[rolling > LEAST_SPEED]
    spread = float(np.subtract(*np.percentile(rolling, (95, 5)))) if len(rolling) else 0.0
    best: SteeringGain | None = None
    for delay in DELAYS:
        for understeer in UNDERSTEER if spread > LEAST_SPREAD else (0.0,):
            rows = [
                _turns(recording, name, times, states, dt, float(delay), float(understeer)) for times, states in pieces
            ]
            columns, turned = (np.concatenate(parts) for parts in zip(*rows))
            if len(turned) * dt < LEAST_SECONDS / 2 or (columns[:, 0] / columns[:, 1]).std() < 1e-4:
                return "it hardly moves"
            (slope, offset), *_ = np.linalg.lstsq(columns, turned, rcond=None)
            share = 1 - float(((turned - columns @ (slope, offset)) ** 2).mean() / max(turned.var(), 1e-12))
            if best is None or share > best.share:
                best = SteeringGain(name, float(slope), float(offset), float(delay), float(understeer), share)
    assert best is not None
    return best if best.share > LEAST_SHARE else f"it explains {max(best.share, 0.0):.0%} of how it turns"


def _turns(
    recording: Recording, name: str, times: np.ndarray, states: np.ndarray, dt: float, delay: float, understeer: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of windows of a piece: (N, 2) what slope and offset are multiplied with to give (N,) how far [rad] it turned."""
    path, n = recording.ego, round(TURNED / dt)
    headings = states[:, 2] if path.headings is None else np.interp(times, path.times, np.unwrap(path.headings))
    headings = np.unwrap(headings)
    speed, signal = (states[1:, 3] + states[:-1, 3]) / 2, recording.signals[name]
    value = signal.at((times[1:] + times[:-1]) / 2 - delay)
    used = np.isfinite(value) & (speed > LEAST_SPEED)
    way = speed * dt / (1 + understeer * speed**2)
    sums = np.cumsum(np.pad(np.stack([way * np.where(used, value, 0.0), way, ~used], -1), ((1, 0), (0, 0))), axis=0)
    inside = sums[n:] - sums[:-n]
    whole = inside[:, 2] == 0
    return inside[whole, :2], (headings[n:] - headings[:-n])[whole]


def _pedals(recording: Recording, pieces: Pieces, dt: float) -> PedalGain | str:
    """The answer to the pedals, which never falls as throttle_brake rises (pool adjacent violators; Barlow 1972)."""
    best: tuple[float, PedalGain] | None = None
    for delay in DELAYS:
        values, answers = [], []
        for times, states in pieces:
            value = pushed(recording, (times[1:] + times[:-1]) / 2 - delay)
            if value is None:
                return "they were not measured"
            used = np.isfinite(value) & ((states[1:, 3] + states[:-1, 3]) / 2 > LEAST_SPEED)
            values.append(value[used])
            answers.append((np.diff(states[:, 3]) / dt)[used])
        p, a = np.concatenate(values), np.concatenate(answers)
        if len(p) * dt < LEAST_SECONDS / 2 or p.std() < 0.02:
            return "they hardly move"
        points = _monotone(p, a)
        share = 1 - float(((a - np.interp(p, *np.array(points).T)) ** 2).mean() / max(a.var(), 1e-12))
        if best is None or share > best[0]:
            best = share, PedalGain(points, float(delay), share)
    assert best is not None
    if best[0] < LEAST_SHARE:
        return f"they explain {max(best[0], 0.0):.0%} of the acceleration"
    return best[1]


def _monotone(p: np.ndarray, a: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Points of an ascending answer a (N,) to p (N,). Beyond what was driven, as steep as the usual car."""
    hats = np.stack([np.interp(p, KNOTS, row) for row in np.eye(len(KNOTS))], -1)
    weight = hats.sum(0)
    seen = np.flatnonzero(weight > 5)
    value, *_ = np.linalg.lstsq(hats[:, seen], a, rcond=None)
    blocks: list[list[float]] = []
    for v, w in zip(value, weight[seen]):
        blocks.append([float(v), float(w), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (v1, w1, n1), (v2, w2, n2) = blocks[-2:]
            blocks[-2:] = [[(v1 * w1 + v2 * w2) / (w1 + w2), w1 + w2, n1 + n2]]
    rising = np.repeat([b[0] for b in blocks], [int(b[2]) for b in blocks]) + RISE * np.arange(len(seen))
    usual = np.interp(KNOTS, *np.array(PEDALS).T)
    found = np.interp(KNOTS, KNOTS[seen], rising)
    for k in range(len(KNOTS)):
        end = seen[0] if k < seen[0] else seen[-1] if k > seen[-1] else k
        found[k] += usual[k] - usual[end]
    return tuple((float(k), float(v)) for k, v in zip(KNOTS, found))


def _split(pieces: Pieces) -> tuple[Pieces, Pieces]:
    """The first two thirds of all moments, and the rest."""
    left = round(FIRST * sum(len(times) for times, _ in pieces))
    first, last = [], []
    for times, states in pieces:
        n = min(left, len(times))
        first += [(times[:n], states[:n])] if n > 1 else []
        last += [(times[n:], states[n:])] if len(times) - n > 1 else []
        left -= n
    return first, last


def _told(s: SteeringGain, ade: float | None) -> str:
    what = {
        "steer": f"full lock is a curvature of {abs(s.slope):.3f} 1/m",
        "road_wheel": f"a wheelbase of {s.wheelbase:.2f} m",
        "steering_wheel": f"{np.degrees(s.wheelbase):.0f} degrees of the wheel for a curvature of 1/m, straight at "
        f"{np.degrees(-s.offset / s.slope):+.2f} degrees",
    }[s.signal]
    said = f"car fitted: {what}, {s.delay:.2f} s late, understeer {s.understeer:.4f} s^2/m^2 ({s.share:.0%} of its "
    said += "turning explained)"
    return said + ("" if ade is None else f"; off by {ade:.3f} m in a second on the last third, which was not fitted")
