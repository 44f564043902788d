"""Whether the model sees a collision coming: how well, how early, at how many false alarms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.drivers.gaps import gaps_ahead
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.measures.events import auroc
from learned_sim_env.reporting.display import STYLES, number, plain, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.spec import TERMINATIONS
from learned_sim_env.task import EVENTS
from learned_sim_env.world_model.protocol import WorldModel, device_of, warmed_up

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# [steps] How far ahead; how long before a collision a warning is looked for; between moments that are no longer before
# one. [1] Share of moments without a collision at which it warns.
WITHIN, LOOK_BACK, STRIDE, FALSE_ALARMS = 10, 30, 5, 0.05
REPLICATES, BATCH = 500, 64


@dataclass(frozen=True, eq=False)
class Forecasts:
    """N moments. episode: (N,) int64. left: (N,) steps to the collision in which its episode ends, a large number
    where it does not end in one. known: (N,) bool, whether the next second was recorded or the episode ended in it.
    model: (N,) float64 the model's probability of a collision within a second. simple: (N,) float64, speed over the
    gap ahead [1/s]; None where no view from above was recorded.
    """

    episode: np.ndarray
    left: np.ndarray
    known: np.ndarray
    model: np.ndarray
    simple: np.ndarray | None


@torch.inference_mode()
def forecast(model: WorldModel, data: PackedData) -> Forecasts:
    """The model's estimate at every moment of the last three seconds before a collision, and at every fifth of others.

    It has seen the last few real moments and takes the last action to be held: nothing of the future is given to it.
    """
    context = model.context_steps
    rows, episodes, lefts, known = (np.concatenate(x) for x in zip(*_moments(data, context)))
    a = data.arrays
    device = device_of(model)
    probabilities = []
    for first in tqdm(range(0, len(rows), BATCH), desc="foresight", unit="batch", disable=None):
        window = rows[first : first + BATCH, None] + np.arange(1 - context, 1)
        seen = {name: torch.from_numpy(data.read(name, window)).to(device) for name in model.observes}
        state = warmed_up(model, seen, torch.from_numpy(a["actions"][window]).to(device))
        held = torch.from_numpy(a["actions"][window[:, -1]]).to(device)
        well = torch.ones(len(window), device=device)
        for _ in range(WITHIN):
            state = model.imagine(state, held, None)
            well = well * (1 - model.decode(state)["events"][:, EVENTS.index("collision")])
        probabilities.append((1 - well).double().cpu().numpy())
    simple = None
    if data.has("bev"):
        gap = gaps_ahead(data.read("bev", rows)).astype(np.float64)
        simple = a["ego"][rows, 0] / np.maximum(gap, 0.5)
    return Forecasts(episodes, lefts, known, np.concatenate(probabilities), simple)


def _moments(data: PackedData, context: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    for e, (start, length, end) in enumerate(zip(data.starts, data.lengths, data.end_reasons)):
        # Row 0 has no action that led to it.
        moments = np.arange(context, length - 1)
        to_end = length - 1 - moments
        collides = str(end) == "collision"
        keep = (moments % STRIDE == 0) | (collides & (to_end <= LOOK_BACK))
        moments, to_end = moments[keep], to_end[keep]
        left = to_end if collides else np.full(len(moments), 10_000)
        # A recording that was cut off says nothing of what came then; one that ended otherwise, that nothing came.
        known = (to_end >= WITHIN) | (str(end) in TERMINATIONS)
        yield start + moments, np.full(len(moments), e), left, known


def lead_times(
    forecasts: Forecasts, scores: np.ndarray, share: float = FALSE_ALARMS
) -> tuple[float, np.ndarray, np.ndarray]:
    """The threshold that a `share` of moments without a collision within three seconds exceeds, and for every episode
    that ends in one how long before it the warning began that held until then, (E,) steps, 0 without; and their
    episodes.
    """
    calm = scores[forecasts.known & (forecasts.left > LOOK_BACK)]
    threshold = float(np.quantile(calm, 1 - share)) if len(calm) else np.inf
    leads, episodes = [], []
    for e in np.unique(forecasts.episode[forecasts.left <= LOOK_BACK]):
        mine = np.flatnonzero((forecasts.episode == e) & (forecasts.left <= LOOK_BACK))
        order = mine[np.argsort(forecasts.left[mine])]
        warned = scores[order] > threshold
        held = len(warned) if warned.all() else int(warned.argmin())
        leads.append(int(forecasts.left[order[held - 1]]) if held else 0)
        episodes.append(int(e))
    return threshold, np.array(leads, np.int64), np.array(episodes, np.int64)


def foresight_part(model: WorldModel, data: PackedData, dt: float) -> Part:
    """How well collisions of recorded episodes are foreseen, with intervals over episodes.

    Raises:
        ValueError: if no episode ends in a collision.
    """
    forecasts = forecast(model, data)
    weights = resample(forecasts.episode, len(data), REPLICATES, seed=0)
    happened, known = forecasts.left <= WITHIN, forecasts.known
    if not happened.any():
        raise ValueError(f"none of {len(data)} episodes ends in a collision: nothing can be foreseen")
    rows, values = [], {}
    curves = {}
    for name, scores in (("model", forecasts.model), ("speed over gap ahead", forecasts.simple)):
        if scores is None:
            continue
        skill = Estimate.of(auroc(weights[:, known], scores[known], happened[known]))
        threshold, leads, episodes = lead_times(forecasts, scores)
        chosen = resample(episodes, len(data), REPLICATES, seed=0)
        seen = Estimate.of(ratio(chosen @ (leads >= 5), chosen.sum(1)))
        mean = Estimate.of(ratio(chosen @ leads * dt, chosen.sum(1)))
        rows.append((name, text(skill, 3), text(seen, 2), text(mean, 2), number(float(np.median(leads)) * dt, 1)))
        values[name] = {"auroc": skill, "foreseen": seen, "lead": mean, "threshold": threshold, "leads": leads * dt}
        curves[name] = leads * dt
    head = ("estimate", "AUROC, 1 s", "foreseen 0.5 s before", "mean lead [s]", "median lead [s]")
    collisions = len(np.unique(forecasts.episode[happened]))

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for (name, leads), (colour, line) in zip(curves.items(), STYLES):
            times = np.arange(0, LOOK_BACK + 1) * dt
            axis.step(
                times, [(leads >= t).mean() for t in times], where="post", color=colour, linestyle=line, label=name
            )
        axis.set(xlabel="seconds before the collision", ylabel="share of collisions warned of", ylim=(0, 1.02))
        axis.invert_xaxis()
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)

    return Part(
        name="foresight",
        title="Does it see a collision coming?",
        method=(
            f"{int(known.sum())} moments of {len(data)} recorded episodes of the simulator, {collisions} of which end "
            f"in a collision; {int((happened & known).sum())} moments are within a second of one. From the last real "
            "moments the model imagines a second with the last action held; its estimate is the probability of a "
            f"collision in any of these steps. A warning is an estimate above what {FALSE_ALARMS:.0%} of the moments "
            "exceed that are more than three seconds from any collision; the lead is how long before the collision the "
            "warning began that held until then, three seconds at most. 95% intervals resample episodes."
        ),
        limits=(
            "A driver that acts makes another future than one that holds the wheel: some collisions come from what is "
            "done in the last second. Moments of one episode resemble each other. False alarms are counted by moments, "
            "of which many belong to the same alarm."
        ),
        tables=(Table(f"Warnings at {FALSE_ALARMS:.0%} false alarms", head, tuple(rows)),),
        values=plain(values),
        figures={"How early": draw},
    )
