"""From a `Recording` to drives: pieces of it at the contract's clock, as scenes with actions and what is valid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from learned_sim_env.recordings.car import SingleTrack
from learned_sim_env.recordings.car_fit import fit_car
from learned_sim_env.recordings.controls import Controls, SteeringFit, controls_of, fit_steering
from learned_sim_env.recordings.others import Moved, Others, others_at
from learned_sim_env.recordings.recording import Light, Recording, RecordingError
from learned_sim_env.recordings.roads import Road, build_road
from learned_sim_env.recordings.segments import SHORTEST, Piece, cut, part, smooth_piece, without_gaps
from learned_sim_env.recordings.smoothing import PSI, V
from learned_sim_env.scene import Agents, Ego, Line, Scene, wrap_angle
from learned_sim_env.spec import CONTRACTS, Contract

# [m] Half the length of the line that a light closes, where the lane's borders are not known.
STOP_LINE = 1.75
# [m] Whoever is this near to the middle of the ego for half of the time is the ego itself, recorded once more.
ITSELF = 1.0


@dataclass(frozen=True, eq=False)
class Drive:
    """T steps of a recording at the contract's clock, in a frame that begins near its start.

    Attributes:
        name: of the recording and the piece. log: drives of one log belong into the same split.
        start: [s] on the recording's clock. origin: (2,) [m], the place in its frame that is (0, 0) here.
        dt: [s] of a step.
        states: (T + 1, 4) of the rear axle, see `car.SingleTrack`; a smooth path that such a car can drive.
        recorded: (T + 1, 3) poses of the middle of the ego's box as they were recorded, NaN between gaps.
        car: what the actions were inferred with.
        controls: what was done, where it is from and whether it is valid.
        road: map and route. has_map: whether a map was recorded; if not, there is only a route.
        others: who else was there, or None where nobody was recorded.
        lights: closed stop lines of each moment.
        notes: what a reader should know, in sentences.
    """

    name: str
    log: str
    start: float
    origin: np.ndarray
    dt: float
    states: np.ndarray
    recorded: np.ndarray
    car: SingleTrack
    controls: Controls
    road: Road
    has_map: bool
    others: Others | None
    lights: tuple[tuple[Line, ...], ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.states) - 1

    def ego(self, t: int, steer: float = 0.0, throttle_brake: float = 0.0) -> Ego:
        """The ego as it drove at moment `t`, with the action that led there."""
        states, dt = self.states, self.dt
        last = max(t - 1, 0)
        turned = float(wrap_angle(states[last + 1, PSI] - states[last, PSI])) / dt
        return ego_of(
            self.car, states[t], turned, float(states[last + 1, V] - states[last, V]) / dt, steer, throttle_brake
        )

    def scene(self, t: int) -> Scene:
        """Moment `t`, 0 to T, as it was recorded."""
        action = self.controls.actions[max(t - 1, 0)]
        ego = self.ego(t, float(action[0]), float(action[1]))
        return self.scene_around(t, ego)

    def scene_around(
        self, t: int, ego: Ego, moved: Moved | None = None, extras: Mapping[str, Any] | None = None
    ) -> Scene:
        """Moment `t` with another ego: the others as they were recorded, but for those that `moved`."""
        agents = Agents.none() if self.others is None else self.others.agents(t, ego.pose[:2], moved)
        closed = self.lights[t] if self.lights else ()
        return Scene(self.road.road_map, ego, agents, closed_lines=closed, extras=extras or {}, last=t == len(self))

    def scenes(self) -> Iterator[Scene]:
        """All T + 1 moments."""
        return (self.scene(t) for t in range(len(self.states)))


def ego_of(
    car: SingleTrack, state: np.ndarray, yaw_rate: float, acceleration: float, steer: float, throttle_brake: float
) -> Ego:
    """The `Ego` of a state (4,) of the rear axle."""
    pose, speed, rear = car.centre(state), float(state[V]), car.vehicle.rear
    c, s = float(np.cos(state[PSI])), float(np.sin(state[PSI]))
    return Ego(
        x=float(pose[0]),
        y=float(pose[1]),
        heading=float(wrap_angle(pose[2])),
        # The middle of the box goes sideways when the car turns about its rear axle.
        velocity=(speed * c - yaw_rate * rear * s, speed * s + yaw_rate * rear * c),
        yaw_rate=yaw_rate,
        acceleration=acceleration,
        steer=steer,
        throttle_brake=throttle_brake,
        length=car.vehicle.length,
        width=car.vehicle.width,
    )


def drives_of(recording: Recording, contract: Contract | None = None, fit_the_car: bool = False) -> list[Drive]:
    """The pieces of a recording that can be driven: cut at gaps, long stops, takeovers, and the contract's time limit.

    fit_the_car: how it answers to actions is fitted to the recording, as far as that goes, rather than assumed.

    Raises:
        RecordingError: if there is none, and why.
    """
    contract = CONTRACTS["driving"] if contract is None else contract
    pieces: list[Piece] = []
    reasons: list[str] = []
    for first, last in without_gaps(recording.ego.times):
        piece = smooth_piece(part(recording.ego, first, last), contract.dt)
        pieces += [piece] if isinstance(piece, Piece) else []
        reasons += [piece] if isinstance(piece, str) else []
    fit = fit_steering(recording, [(p.times, p.states) for p in pieces], contract.dt) if pieces else ""
    drives: list[Drive] = []
    car, told = SingleTrack(recording.vehicle), tuple[str, ...]()
    if fit_the_car and pieces:
        answers = fit_car(recording, [(p.times, p.states) for p in pieces], contract.dt)
        car, told = answers.of(car), answers.notes
        if answers.steering is not None and answers.steering.signal == "steering_wheel":
            s = answers.steering
            fit = SteeringFit(s.slope, s.offset, s.share)
    for piece in pieces:
        for a, b in cut(recording, piece.times, piece.states[:, V], contract.max_episode_steps):
            if (b - a) * contract.dt < SHORTEST:
                reasons.append(
                    f"{(b - a) * contract.dt:.1f} s between long stops or takeovers are less than {SHORTEST:g} s"
                )
                continue
            name = f"{recording.name}/{len(drives)}"
            kept = Piece(piece.times[a : b + 1], piece.states[a : b + 1], (*piece.notes, *told))
            drives.append(_drive(recording, name, kept, contract, car, fit))
    left_out = "; ".join(dict.fromkeys(reasons))
    if not drives:
        raise RecordingError(f"nothing to drive: {left_out or 'it is empty'}")
    if left_out:
        drives[0] = replace(drives[0], notes=(*drives[0].notes, f"pieces are left out: {left_out}"))
    return drives


def _drive(
    recording: Recording, name: str, piece: Piece, contract: Contract, car: SingleTrack, fit: SteeringFit | str
) -> Drive:
    times, notes = piece.times, piece.notes
    origin = np.round(piece.states[0, :2])
    states = piece.states.copy()
    states[:, :2] -= origin
    poses = car.centre(states)
    road = build_road(recording.road, _path_of(recording, times), recording.route, origin)
    others = None
    if recording.tracks is not None:
        others = others_at(recording.tracks, times, origin)
        itself = others.near(poses, ITSELF) > 0.5
        if itself.any():
            others = others.only(~itself)
            notes = (*notes, f"{int(itself.sum())} track(s) are the ego itself and are left out")
    return Drive(
        name=name,
        log=recording.log,
        start=float(times[0]),
        origin=origin,
        dt=contract.dt,
        states=states,
        recorded=_recorded(recording, times, origin),
        car=car,
        controls=controls_of(recording, times, states, car, contract.dt, fit),
        road=road,
        has_map=recording.road is not None,
        others=others,
        lights=_closed(recording.lights, road, times, origin),
        notes=notes,
    )


def _path_of(recording: Recording, times: np.ndarray) -> np.ndarray:
    """Places (N, 2) of the car around the drive, as far as they were recorded: what comes after it is a route, too."""
    path = recording.ego
    rows = path.times >= times[0] - 1e-6
    rows &= path.times <= times[-1] + 60.0
    places = path.places[rows]
    # A point a metre: a car that stands draws a knot.
    kept, last = [0], 0
    for i in range(1, len(places)):
        if np.hypot(*(places[i] - places[last])) >= 1.0:
            kept.append(i)
            last = i
    return places[kept]


def _recorded(recording: Recording, times: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(T + 1, 3) recorded poses of the middle of the box, interpolated; headings NaN where none were recorded."""
    path, v = recording.ego, recording.vehicle
    x, y = (np.interp(times, path.times, path.places[:, k]) - origin[k] for k in (0, 1))
    if path.headings is None:
        return np.stack([x, y, np.full(len(times), np.nan)], -1)
    heading = np.interp(times, path.times, np.unwrap(path.headings))
    ahead = v.rear - path.origin
    return np.stack([x + ahead * np.cos(heading), y + ahead * np.sin(heading), wrap_angle(heading)], -1)


def _closed(
    lights: tuple[Light, ...], road: Road, times: np.ndarray, origin: np.ndarray
) -> tuple[tuple[Line, ...], ...]:
    """Stop lines that lights close at each moment."""
    if not lights:
        return ()
    moments: list[list[Line]] = [[] for _ in times]
    for light in lights:
        centre = road.centres.get(light.lane)
        if centre is None or not light.closed.any():
            continue
        stop = light.stop - origin
        i = int(((centre - stop) ** 2).sum(-1).argmin())
        i = min(i, len(centre) - 2)
        towards = centre[i + 1] - centre[i]
        aside = STOP_LINE * np.array([-towards[1], towards[0]]) / max(float(np.hypot(*towards)), 1e-9)
        line = Line(np.stack([stop - aside, stop + aside]))
        nearest = np.clip(np.searchsorted(light.times, times - 0.05), 0, len(light.times) - 1)
        near = np.abs(light.times[nearest] - times) < 0.5
        for t in np.flatnonzero(light.closed[nearest] & near):
            moments[t].append(line)
    return tuple(tuple(found) for found in moments)
