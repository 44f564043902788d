"""A simulator brought to the moment at which a dream begins, and how near it came."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.scene import SimulatorError, wrap_angle
from learned_sim_env.spec import EGO_FIELDS

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv
    from learned_sim_env.world_model.contexts import Contexts

# Why a simulator may not come to a context.
NOT_THE_SAME = "this is not the simulator, or not the version or settings of it, that the context was recorded in"
# What `Agreement` measures, and the largest value of each at the same moment, with its unit. They are well above what
# the physics of a simulator on another machine scatters, and well below what tells one moment of driving from another.
TOLERANCES = {
    "speed": (0.2, "m/s"),
    "yaw_rate": (0.05, "rad/s"),
    "route_distance": (0.2, "m"),
    "route_heading_error": (0.05, "rad"),
    "route": (1.0, "m"),
}
# Share of equal class ids below which two views are not of the same moment, whatever the egos do.
SAME_VIEW = 0.9


@dataclass(frozen=True)
class Agreement:
    """How near a simulator came to a context, over all of the context's moments.

    The ego's own motion says whether it is the same moment, and the route ahead, where contexts hold it, at which place
    of the road. Class views say so as well, of all that is around; what cameras see depends on light and weather, and
    is only told.

    Args:
        speed, yaw_rate, route_distance, route_heading_error: largest differences of the ego vectors [m/s, rad/s, m,
            rad].
        route: mean distance of the waypoints ahead [m], at the last moment; None where the contexts hold none.
        views, cameras: share of equal pixels at the last moment, by modality.
    """

    speed: float
    yaw_rate: float
    route_distance: float
    route_heading_error: float
    route: float | None = None
    views: Mapping[str, float] = field(default_factory=dict)
    cameras: Mapping[str, float] = field(default_factory=dict)

    @property
    def deviations(self) -> tuple[str, ...]:
        """What differs by more than it may, in words; nothing at the same moment."""
        measured = {name: getattr(self, name) for name in TOLERANCES}
        found = [
            f"{name.replace('_', ' ')} by {value:.3g} {TOLERANCES[name][1]} (at most {TOLERANCES[name][0]:g})"
            for name, value in measured.items()
            if value is not None and not value <= TOLERANCES[name][0]
        ]
        found += [
            f"{name} in {1 - share:.1%} of its pixels (at most {1 - SAME_VIEW:.0%})"
            for name, share in self.views.items()
            if share < SAME_VIEW
        ]
        return tuple(found)

    @property
    def same(self) -> bool:
        """Whether it is the same moment, within tolerances."""
        return not self.deviations

    @property
    def identical(self) -> bool:
        """Whether it is the same moment and all class views show the same: then only the model can make a difference.

        A simulator that repeats itself exactly comes to this; one vehicle too many is less than a hundredth of a view.
        """
        return self.same and all(share == 1.0 for share in self.views.values())

    def __str__(self) -> str:
        """In one line, what differs or how nearly it is the same."""
        if self.deviations:
            return f"it differs in {', '.join(self.deviations)}"
        pictures = {**self.views, **self.cameras}
        equal = [f"{share:.1%} of {name} equal" for name, share in pictures.items()]
        ego = f"ego within {self.speed:.2g} m/s, {self.route_distance:.2g} m and {self.route_heading_error:.2g} rad"
        route = [] if self.route is None else [f"route ahead within {self.route:.2g} m"]
        return ", ".join(["the same moment", ego, *route, *equal])


def approach(
    twin: TwinDrivingEnv,
    contexts: Contexts,
    index: int,
    options: Mapping[str, Any] | None = None,
    further: int = 0,
) -> Generator[int, None, Agreement]:
    """Drive the scenario of context `index` up to the context's end, as it was driven when it was recorded.

    Recordings are entered there instead: what was done in them leads along them only nearly.

    Args:
        twin: the simulator that the contexts were recorded in, with continuous actions.
        contexts: of the checkpoint that dreams.
        index: of the context, as in `info["context"]`.
        options: of the twin's `reset`.
        further: steps that the caller goes on to take, which count as still to be driven.

    Yields:
        The steps that are still to be driven, before each of them and at the end.

    Returns:
        How near it came.

    Raises:
        ValueError: if there is no such context, or the episode ends on the way, which it did not when it was recorded.
        SimulatorError: if the simulator fails.
    """
    if not 0 <= index < len(contexts):
        raise ValueError(f"context {index} is none of 0 to {len(contexts) - 1}: no simulator can be brought there")
    actions, seed, options = contexts.replay_actions(index), int(contexts.scenarios[index]), dict(options or {})
    if (entered := _entered(twin, seed, len(actions))) is not None:
        options, actions = {**options, **entered}, actions[:0]
    twin.reset(seed=seed, options=options)
    egos = [twin.ego_vector]
    for step, action in enumerate(actions, start=1):
        yield len(actions) - step + 1 + further
        *_, terminated, truncated, info = twin.step(action)
        if info["end_reason"] == "simulator_error":
            raise SimulatorError(f"the simulator failed on the way to context {index}")
        if terminated or truncated:
            raise ValueError(
                f"scenario {contexts.scenarios[index]} ends after {step} steps ({info['end_reason']}), before context "
                f"{index}: {NOT_THE_SAME}"
            )
        egos.append(twin.ego_vector)
    yield further
    return agreement(twin, np.array(egos[-len(contexts.ego[index]) :]), contexts, index)


def _entered(twin: TwinDrivingEnv, seed: int, steps: int) -> Mapping[str, Any] | None:
    """Options by which the twin begins `steps` steps after a scenario's start; None: it has to be driven there."""
    entering = getattr(twin.simulator, "entering", None)
    return None if entering is None else entering(seed, steps)


def agreement(twin: TwinDrivingEnv, egos: np.ndarray, contexts: Contexts, index: int) -> Agreement:
    """How near the twin's present moment is to the end of context `index`.

    Args:
        twin: at that moment.
        egos: (t, 6) float32, its ego vectors at its last t moments, at most as many as the contexts have.
        contexts: of the checkpoint that dreams.
        index: of the context.
    """
    apart = np.abs(egos.astype(np.float64) - contexts.ego[index][-len(egos) :])
    column = EGO_FIELDS.index("route_heading_error")
    apart[:, column] = np.abs(wrap_angle(apart[:, column]))
    worst = dict(zip(EGO_FIELDS, apart.max(0).tolist()))
    ego = {name: worst[name] for name in EGO_FIELDS if name in TOLERANCES}
    known = [m for m in twin.contract.modalities if m.name in contexts.observations and m.name != "ego"]
    recorded = {m.name: contexts.observations[m.name][index, -1] for m in known}
    seen = twin.observed(recorded)
    route = None
    if "route" in recorded:
        route = float(np.linalg.norm(seen["route"] - recorded["route"], axis=-1).mean())
    views = {m.name: float(np.mean(seen[m.name] == recorded[m.name])) for m in known if m.kind == "classes"}
    cameras = {m.name: float(np.mean((seen[m.name] == recorded[m.name]).all(-1))) for m in known if m.kind == "rgb"}
    return Agreement(**ego, route=route, views=views, cameras=cameras)


def bring_to_context(
    twin: TwinDrivingEnv, contexts: Contexts, index: int, options: Mapping[str, Any] | None = None
) -> Agreement:
    """`approach` to the end; returns how near it came."""
    way = approach(twin, contexts, index, options)
    while True:
        try:
            next(way)
        except StopIteration as arrived:
            return arrived.value
