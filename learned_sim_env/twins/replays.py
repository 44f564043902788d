"""A dream and its own twin from the same moments, under the same actions: the closest comparison there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.measures.bootstrap import Estimate, resample
from learned_sim_env.reporting.display import STYLES, curve, plain, text
from learned_sim_env.reporting.parts import Part, Table, not_applicable
from learned_sim_env.scene import relative_motion, to_frame
from learned_sim_env.twins.pairing import Pair, open_twin

# Steps after which figures are given.
HORIZONS = (10, 30)


def replays(
    env_id: str,
    count: int,
    steps: int = max(HORIZONS),
    settings: Mapping[str, Any] = {},
    simulator: str = "",
    twin_settings: Mapping[str, Any] = {},
) -> Part:
    """Drive `count` contexts of the learned environment `env_id` in it and in its twin with the same actions.

    settings: of the environment. simulator, twin_settings: see `open_twin`.

    Raises:
        ImportError: if what the twin needs is not installed.
        ValueError: if the environment has no twin.
    """
    twin = open_twin(env_id, simulator, **twin_settings)
    pair = Pair(gym.make(env_id, **{**settings, "temperature": 0}), twin)
    count = min(count, len(pair.dream.get_wrapper_attr("checkpoint").contexts))
    apart, elsewhere, title = list[list[float]](), 0, "The same moments, the same actions"
    for context in range(count):
        try:
            moment = pair.reset(options={"context": context})
        except ValueError:
            # The episode ends on the way there, which it did not when it was recorded.
            elsewhere += 1
            continue
        if pair.agreement is None or not pair.agreement.same:
            elsewhere += 1
            continue
        follower, start = RouteFollower.from_ego(moment.observation["ego"]), twin.scene.ego.pose
        pose, errors = np.zeros(3), list[float]()
        while len(errors) < steps and not moment.over:
            moment = pair.step(follower(moment.observation["ego"]))
            motion = moment.info["ego_motion"].astype(np.float64)
            # Moving on in the frame of `pose`, seen from the start.
            pose[:2] += to_frame(motion[:2], np.array([0.0, 0.0, -pose[2]]))
            pose[2] += motion[2]
            errors.append(float(np.hypot(*(pose[:2] - relative_motion(start, twin.scene.ego.pose)[:2]))))
        if len(errors) == steps:
            apart.append(errors)
    pair.close()
    if not apart:
        why = f"none of {count} replays of {env_id} lasted {steps} steps"
        return not_applicable(
            "replays", title, f"the twin comes to none of {count} contexts" if elsewhere == count else why
        )
    weights = resample(np.arange(len(apart)), len(apart), 500, seed=0)
    estimate = Estimate.of(weights @ np.array(apart) / weights.sum(-1, keepdims=True))
    rows = tuple((f"{h / 10:g} s", text(Estimate(*(v[h - 1] for v in vars(estimate).values())), 2)) for h in HORIZONS)
    return Part(
        name="replays",
        title=title,
        method=f"{len(apart)} of {count} contexts, both driven by what a route follower does in the dream.",
        limits="Replays that end earlier in either world are left out; those are the hardest ones. So are contexts "
        "that the twin does not come to.",
        tables=(Table("Distance between the egos [m]", ("after", "metres"), rows),),
        values={"distance": plain(estimate)},
        figures={
            "Distance [m] by steps": lambda figure: curve(
                figure.subplots(), np.arange(1, steps + 1), estimate, "distance", STYLES[0]
            )
        },
    )
