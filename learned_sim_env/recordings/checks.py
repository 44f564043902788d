"""Whether a recording and the drives made of it can be believed: figures, and warnings in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from learned_sim_env.recordings.drives import Drive
from learned_sim_env.recordings.recording import Recording
from learned_sim_env.recordings.segments import LONGEST_GAP
from learned_sim_env.road import road_index
from learned_sim_env.scene import Scene, wrap_angle
from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.task import scenario_tags

# [s] after which a path that the inferred actions lead along is compared with the recorded one, and how often.
AHEAD, EVERY = 3.0, 0.5
# [m/s^2] of hard braking; [m] between boxes that are near, and from the route that is left.
HARD_BRAKING, NEAR, OFF_ROUTE = 4.0, 0.5, 3.5
# Edges of histograms: [m/s], and of actions.
BINS = {"speed": np.arange(0.0, 42.0, 2.0), **dict.fromkeys(("steer", "throttle_brake"), np.linspace(-1.0, 1.0, 21))}
# [m] Overlaps of boxes less deep than this are noise of their sizes.
DEPTH = 0.2


@dataclass(frozen=True)
class Figures:
    """Of one drive.

    steps: T. speed: mean [m/s]. replay: median distance [m] after 3 s of the inferred actions from where the ego was
    recorded. smoothing: mean distance [m] of the smoothed path from the recorded one. hardest: 99th percentile of the
    acceleration's magnitude [m/s^2]. jerk: root mean square [m/s^3]. steering: correlation of the steering, turned into
    what is left-positive, with the curvature of the recorded path; None where it cannot be told. overlaps: pairs of
    boxes that overlap at its first moment, the ego's among them. on_lane: share of moments at which it is on a lane;
    None without a map. valid: share of valid actions, of steer and throttle_brake. agents: mean number near the ego.
    hard_braking, near, off_route: how often it brakes hard, comes near to others while it drives, and leaves the route.
    tags: share of its moments that have each of `spec.SCENARIO_TAGS`; None without map or others. histograms: of its
    speeds and valid actions, numbers of moments between the edges in `BINS`, the first and last bin being open.
    """

    steps: int
    speed: float
    replay: float
    smoothing: float
    hardest: float
    jerk: float
    steering: float | None
    overlaps: int
    on_lane: float | None
    valid: tuple[float, float]
    agents: float | None
    hard_braking: int
    near: int
    off_route: int
    route: str
    sources: tuple[str, str]
    tags: dict[str, float] | None
    histograms: dict[str, list[int]]

    def to_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


def figures(drive: Drive) -> Figures:
    """Of a drive."""
    states, dt, controls = drive.states, drive.dt, drive.controls
    acceleration = np.diff(states[:, 3]) / dt
    scenes = [drive.scene(t) for t in range(0, len(drive) + 1, max(1, round(EVERY / dt)))]
    index = road_index(drive.road.road_map)
    first = drive.scene(0)
    boxes = np.concatenate([first.ego.pose[None], first.agents.poses])
    sizes = np.concatenate([[(first.ego.length, first.ego.width)], first.agents.sizes])
    away = drive.car.centre(states)[:, :2] - drive.recorded[:, :2]
    return Figures(
        steps=len(drive),
        speed=float(states[:, 3].mean()),
        replay=replay_error(drive),
        smoothing=float(np.hypot(*away.T).mean()),
        hardest=float(np.percentile(np.abs(acceleration), 99)),
        jerk=float(np.sqrt((np.diff(acceleration) ** 2).mean()) / dt),
        steering=_steering(drive),
        overlaps=overlapping(boxes, sizes),
        on_lane=float(np.mean([bool(index.lanes_at(s.ego.pose[:2])) for s in scenes])) if drive.has_map else None,
        valid=(float(controls.valid[:, 0].mean()), float(controls.valid[:, 1].mean())),
        agents=None if drive.others is None else float(np.mean([len(s.agents) for s in scenes])),
        hard_braking=_times(acceleration < -HARD_BRAKING),
        near=_times(np.array([s.ego.speed > 1.0 and _is_near(s) for s in scenes])),
        off_route=_times(np.array([abs(index.on_route(s.ego.pose)[1]) > OFF_ROUTE for s in scenes])),
        route=drive.road.route,
        sources=controls.sources,
        tags=_tags(scenes) if drive.has_map and drive.others is not None else None,
        histograms={
            "speed": histogram(states[:, 3], BINS["speed"]),
            **{
                name: histogram(controls.actions[controls.valid[:, k], k], BINS[name])
                for k, name in enumerate(("steer", "throttle_brake"))
            },
        },
    )


def histogram(values: np.ndarray, edges: np.ndarray) -> list[int]:
    """Numbers of values (N,) between edges (M + 1,); what is beyond counts for the nearest bin."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].tolist()


def _tags(scenes: Sequence[Scene]) -> dict[str, float]:
    shares = np.mean([scenario_tags(scene) for scene in scenes], axis=0)
    return dict(zip(SCENARIO_TAGS, shares.tolist()))


def _times(mask: np.ndarray) -> int:
    """How often a mask (N,) becomes true."""
    return int((mask & ~np.concatenate([[False], mask[:-1]])).sum())


def _is_near(scene: Scene) -> bool:
    """Whether somebody is within `NEAR` of the ego's box."""
    ego, agents = scene.ego, scene.agents
    close = np.hypot(*(agents.poses[:, :2] - ego.pose[:2]).T) < (agents.sizes.max(-1) + ego.length) / 2 + NEAR
    for pose, size in zip(agents.poses[close], agents.sizes[close]):
        sizes = np.array([(ego.length + NEAR, ego.width + NEAR), size + NEAR]) + DEPTH
        if overlapping(np.array([ego.pose, pose]), sizes):
            return True
    return False


def replay_error(drive: Drive) -> float:
    """Median distance [m] from the recorded path after `AHEAD` seconds of the inferred actions, or a whole drive."""
    steps = min(round(AHEAD / drive.dt), len(drive))
    errors = []
    for t in range(0, len(drive) - steps + 1, max(1, round(EVERY / drive.dt))):
        state = drive.states[t]
        for action in drive.controls.inverse[t : t + steps]:
            state = drive.car.step(state, action, drive.dt)
        errors.append(np.hypot(*(drive.car.centre(state)[:2] - drive.recorded[t + steps, :2])))
    return float(np.median(errors))


def _steering(drive: Drive) -> float | None:
    """Correlation of the steering that is given out with the curvature of the recorded headings, over two seconds."""
    recorded, n = drive.recorded, round(1.0 / drive.dt)
    if not np.isfinite(recorded).all() or len(drive) < 4 * n:
        return None
    turned = wrap_angle(recorded[2 * n :, 2] - recorded[: -2 * n, 2])
    way = np.hypot(*np.diff(recorded[:, :2], axis=0).T)
    way = np.convolve(way, np.ones(2 * n), mode="valid")
    steer = -np.convolve(drive.controls.actions[:, 0], np.ones(2 * n) / (2 * n), mode="valid")
    rolling = way > 2.0
    curvature = turned[rolling] / way[rolling]
    if rolling.sum() < n or curvature.std() < 1e-3 or steer[rolling].std() < 1e-4:
        return None
    return float(np.corrcoef(steer[rolling], curvature)[0, 1])


def overlapping(poses: np.ndarray, sizes: np.ndarray) -> int:
    """How many pairs of boxes overlap by more than `DEPTH`; poses (N, 3), sizes (N, 2) (separating axes)."""
    count = len(poses)
    if count < 2:
        return 0
    a, b = np.triu_indices(count, 1)
    near = np.hypot(*(poses[a, :2] - poses[b, :2]).T) < (sizes[a].max(1) + sizes[b].max(1))
    a, b = a[near], b[near]
    offset, half = poses[b, :2] - poses[a, :2], np.maximum(sizes - DEPTH, 0.0) / 2
    apart = np.zeros(len(a), bool)
    for heading in (poses[a, 2], poses[b, 2]):
        for turn in (0.0, np.pi / 2):
            axis = heading + turn
            distance = np.abs(offset[:, 0] * np.cos(axis) + offset[:, 1] * np.sin(axis))
            reach = np.zeros(len(a))
            for rows in (a, b):
                relative = poses[rows, 2] - axis
                reach += half[rows, 0] * np.abs(np.cos(relative)) + half[rows, 1] * np.abs(np.sin(relative))
            apart |= distance > reach
    return int((~apart).sum())


def warnings_of(recording: Recording, drives: Sequence[Drive], found: Sequence[Figures]) -> list[str]:
    """What somebody who uses the recording should know, in sentences."""
    said = list(recording.notes)
    for note in (n for drive in drives for n in (*drive.notes, *drive.controls.notes)):
        if note not in said:
            said.append(note)
    said += _signals(recording, drives)
    gaps = np.diff(recording.ego.times)
    if (long := gaps[gaps > LONGEST_GAP]).size:
        said.append(f"{long.size} gaps in time of up to {long.max():.1f} s: it is cut there")
    if recording.vehicle.guessed:
        said.append(f"guessed, not recorded: {', '.join(sorted(recording.vehicle.guessed))} of the car")
    for value, limit, sentence in (
        (max(f.replay for f in found), 0.2, "inferred actions lead {:.2f} m away from the recorded path in 3 s"),
        (max(f.hardest for f in found), 6.0, "accelerations reach {:.1f} m/s^2: positions are noisy, or times wrong"),
        (max(f.overlaps for f in found), 3, "{:.0f} pairs of boxes overlap where a drive begins"),
    ):
        if value > limit:
            said.append(sentence.format(value))
    lanes = [f.on_lane for f in found if f.on_lane is not None]
    if lanes and min(lanes) < 0.9:
        said.append(f"the ego is on a lane for {min(lanes):.0%} of the time: is the map of the same place and frame?")
    return said


def _signals(recording: Recording, drives: Sequence[Drive]) -> list[str]:
    """Of steering and speed, against the path."""
    said = []
    steering = [c for c in (_steering(d) for d in drives if d.controls.sources[0] == "measured") if c is not None]
    if steering and min(steering) < -0.5:
        said.append(f"the steering sign looks reversed: correlation {min(steering):.1f} with the curvature of the path")
    if "speed" in recording.signals and drives:
        drive = max(drives, key=len)
        measured = recording.signals["speed"].at(drive.start + drive.dt * np.arange(len(drive) + 1))
        rolling = (drive.states[:, 3] > 2.0) & np.isfinite(measured)
        if rolling.sum() > 10:
            ratio = float(np.median(measured[rolling] / drive.states[rolling, 3]))
            hint = (
                " (are they km/h?)" if 3.2 < ratio < 4.0 else " (are they miles an hour?)" if 2.0 < ratio < 2.5 else ""
            )
            if not 0.9 < ratio < 1.1:
                said.append(f"measured speeds are {ratio:.2f} times those of the positions{hint}")
    return said
