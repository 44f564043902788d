"""A finished run as a checkpoint folder: weights, starting contexts, uncertainty bound."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.ego_path import settle_path
from learned_sim_env.training.pictures import after_context
from learned_sim_env.training.rssm.fine_tune import settle_agents
from learned_sim_env.training.rssm.fine_tune_heads import settle_heads
from learned_sim_env.world_model.checkpoint import save_pretrained
from learned_sim_env.world_model.contexts import CONTEXT_STEPS, Contexts
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.model import DrivingRSSM

if TYPE_CHECKING:
    from learned_sim_env.training.trainer import Trainer

# An episode lasts at least this many steps after a context: nobody should start in the middle of a crash.
ROOM_TO_DRIVE = 20
# Share of the contexts that are episodes' first steps, where the simulator begins: standing, among others who stand.
BEGINNINGS = 0.25
# [m], [rad] How far off the middle of the route, and how much askew, a start may be.
START_OFFSET, START_HEADING = 7.0, 0.8
# Imagined steps, the quantile of their uncertainty on unseen maps, and how far beyond it the bound lies.
FUTURE_STEPS, BOUND_QUANTILE, BOUND_MARGIN = 50, 0.999, 1.5
# Times as likely that somebody comes into view, at most.
MOST_LIKELIER = 5.0


def choose_contexts(data: PackedData, count: int, seed: int = 0) -> Contexts:
    """`count` moments of validation episodes, every scenario tag represented as evenly as the data allow.

    Raises:
        ValueError: if a tag does not occur, or there are not enough moments.
    """
    episodes = data.split("validation")
    rng = np.random.default_rng(seed)

    def some(count: int, first: int, last: int) -> list[tuple[int, int]]:
        """Up to `count` moments from step `first` to `last` of an episode, apart from each other."""
        moments = [
            (e, t)
            for e, length in enumerate(episodes.lengths)
            for t in range(first, min(last + 1, int(length) - ROOM_TO_DRIVE), 5)
            if _drivable(data, int(episodes.starts[e]) + t)
        ]
        order = [moments[i] for i in rng.permutation(len(moments))]
        rows = np.array([episodes.starts[e] + t for e, t in order], np.int64)
        return [order[i] for i in sorted(_evenly(data.arrays["tags"][rows], count))]

    chosen = some(round(BEGINNINGS * count), CONTEXT_STEPS - 1, CONTEXT_STEPS - 1)
    chosen += some(count - len(chosen), 10 + CONTEXT_STEPS, episodes.steps)
    if len(chosen) < count:
        raise ValueError(
            f"only {len(chosen)} moments of validation episodes can be contexts, {count} asked for: collect more"
        )
    chosen = [chosen[i] for i in rng.permutation(count)]
    contexts = _contexts(episodes, chosen)
    missing = [name for i, name in enumerate(SCENARIO_TAGS) if not contexts.tags[:, i].any()]
    if missing:
        raise ValueError(f"no validation moment has the tags {', '.join(missing)}: collect more episodes")
    return contexts


def uncertainty_bound(model: DrivingRSSM, data: PackedData) -> float:
    """`BOUND_MARGIN` times the `BOUND_QUANTILE` quantile of the uncertainty in imagined futures of unseen episodes.

    So hardly any step that is like the data is cut off. `ValueError` if the model's uncertainty is not finite.
    """
    values = torch.cat([model.decode(state)["uncertainty"][valid] for _, state, valid in _futures(model, data)])
    if not torch.isfinite(values).all():
        raise ValueError("the model's uncertainty is not finite: it was not trained well, and cannot be exported")
    return BOUND_MARGIN * float(np.quantile(values.float().cpu().numpy(), BOUND_QUANTILE))


def let_all_come(model: DrivingRSSM, data: PackedData) -> float:
    """Make it likelier that somebody comes into view, in place: not all can be put where the model wants them.

    Who would come into view off the road, or inside another, is left out; without this the roads of dreams are emptier
    than they should be. Whoever learns to drive there learns to drive too fast.

    Returns:
        How many times as likely.
    """
    wanted = put = 0.0
    for before, after, valid in _futures(model, data):
        nowhere = model.births.guesses(model.latent.foresee(after["h"]))[0].softmax(-1)[:, -1]
        new = (after["agent_class"] > 0) & (before["agent_class"] == 0)
        wanted += float((1 - nowhere)[valid].sum())
        put += float(new[valid].sum())
    factor = min(max(wanted / max(put, 1.0), 1.0), MOST_LIKELIER)
    model.births.likelier.fill_(math.log(factor))
    return factor


def _futures(model: DrivingRSSM, data: PackedData, windows: int = 128) -> Iterator[tuple[State, State, Tensor]]:
    """Steps imagined with chance from unseen episodes: states before and after, and (windows,) bool, which count."""
    sampler = WindowSampler(data.split("validation"), CONTEXT_STEPS, FUTURE_STEPS, model.contract.dt)
    batch = sampler.sample(windows, 0, 0).to(next(model.parameters()).device)
    with torch.no_grad():
        state = after_context(model, batch)
        for t in range(CONTEXT_STEPS, CONTEXT_STEPS + FUTURE_STEPS):
            noise = torch.rand(windows, model.noise_size, generator=torch.Generator().manual_seed(t))
            before, state = state, model.imagine(state, batch.actions[:, t], noise.to(batch.ego.device))
            yield before, state, batch.valid[:, t]


def export(trainer: Trainer, data: PackedData, count: int) -> Path:
    """Write `OUT/checkpoint` of a run."""
    model = copy.deepcopy(trainer.model).eval()
    settle_path(model.ego_path, trainer.train_paths, trainer.config)
    settle_agents(model, trainer.train_data, trainer.config)
    settle_heads(model, trainer.train_data, trainer.config)
    about: dict[str, Any] = {
        "steps": trainer.step,
        "batch_size": trainer.config.batch_size,
        "path_steps": trainer.config.path_steps,
        "agent_steps": trainer.config.agent_steps,
        "head_windows": trainer.config.head_windows,
        "head_steps": trainer.config.head_steps,
        "horizon": trainer.config.horizon,
        "learning_rate": trainer.config.learning_rate,
        "seed": trainer.config.seed,
        "architecture": trainer.config.model,
        "parameters": sum(p.numel() for p in model.parameters()),
        "episodes": len(data),
        "frames": data.steps,
        "simulators": sorted(set(map(str, data.simulators))),
        "data_seeds": f"{data.seeds.min()} to {data.seeds.max()}",
        "births_factor": round(let_all_come(model, data), 3),
        "device": f"{trainer.device.type}, {trainer.world} processes, {trainer.hours():.2f} hours",
    }
    return save_pretrained(
        trainer.out / "checkpoint",
        model,
        choose_contexts(data, count),
        uncertainty_bound(model, data),
        about,
    )


def _drivable(data: PackedData, row: int) -> bool:
    """Whether one would want to start here: on the route, roughly along it, and doing nothing wrong."""
    _, _, _, _, distance, heading_error = data.arrays["ego"][row]
    good = abs(distance) < START_OFFSET and abs(heading_error) < START_HEADING
    return bool(good and not data.arrays["events"][row].any())


def _evenly(tags: np.ndarray, count: int) -> set[int]:
    """Indices of `count` rows of tags (N, 7) bool, taking turns among the tags."""
    chosen: set[int] = set()
    queues = [list(np.flatnonzero(tags[:, k])) for k in range(tags.shape[1])]
    while len(chosen) < count:
        for queue in queues:
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < count:
                chosen.add(int(queue.pop(0)))
        if not any(queues):
            break
    return chosen


def _contexts(episodes: PackedData, moments: list[tuple[int, int]]) -> Contexts:
    a = episodes.arrays
    rows = np.array([episodes.starts[e] + np.arange(t - CONTEXT_STEPS + 1, t + 1) for e, t in moments])
    # Row 0 of an episode has no action: what was done from its start begins with row 1.
    replays = [a["actions"][episodes.starts[e] + 1 : episodes.starts[e] + t + 1] for e, t in moments]
    return Contexts(
        {"bev": a["semantic"][rows], "ego": a["ego"][rows]},
        actions=a["actions"][rows],
        tags=a["tags"][rows[:, -1]],
        scenarios=np.array([episodes.seeds[e] for e, _ in moments]),
        replay=np.concatenate(replays),
        replay_starts=np.concatenate([[0], np.cumsum([len(r) for r in replays])]),
    )
