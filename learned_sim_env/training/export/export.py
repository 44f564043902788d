"""A finished run as a checkpoint folder: weights, starting contexts, uncertainty bound."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.training.export.amount import learned_from
from learned_sim_env.training.export.calibration import uncertainty_bound
from learned_sim_env.world_model.checkpoint import save_pretrained
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.protocol import WorldModel

if TYPE_CHECKING:
    from learned_sim_env.training.loop.trainer import Trainer

# An episode lasts at least this many steps after a context, so that none lies in the middle of a crash.
ROOM_TO_DRIVE = 20
# Share of the contexts that are episodes' first steps, in which the ego and the traffic around it stand still.
BEGINNINGS = 0.25
# [m], [rad] How far off the middle of the route, and how much askew, a start may be.
START_OFFSET, START_HEADING = 7.0, 0.8


def choose_contexts(
    data: PackedData, count: int, model: WorldModel, seed: int = 0, split: str = "validation", fewer: bool = False
) -> Contexts:
    """`count` moments of the episodes of a split, every scenario tag represented as evenly as the data allow.

    They have what the model observes, for as many steps as it needs. Of recordings, which are few and perhaps without
    tags, and where `fewer` will do, there may be fewer.

    Raises:
        ValueError: if there are not enough moments, or a tag is missing in simulated data though there are as many
            contexts as tags.
    """
    episodes, steps = data.split(split).having(model.observes), model.context_steps
    fewer = fewer or bool((data.logs != "").any())
    all_tags = data.arrays.get("tags", np.zeros((len(data.arrays["actions"]), len(SCENARIO_TAGS)), bool))
    rng = np.random.default_rng(seed)

    def some(count: int, first: int, last: int) -> list[tuple[int, int]]:
        """Up to `count` moments from step `first` to `last` of an episode, apart from each other."""
        moments = [
            (e, t)
            for e, length in enumerate(episodes.lengths)
            for t in range(first, min(last + 1, int(length) - ROOM_TO_DRIVE), 5)
            if _drivable(data, int(episodes.starts[e]) + t, t, steps)
        ]
        order = [moments[i] for i in rng.permutation(len(moments))]
        rows = np.array([episodes.starts[e] + t for e, t in order], np.int64)
        return [order[i] for i in sorted(_evenly(all_tags[rows], count))]

    chosen = some(round(BEGINNINGS * count), steps - 1, steps - 1)
    chosen += some(count - len(chosen), 10 + steps, episodes.steps)
    if len(chosen) < (1 if fewer else count):
        raise ValueError(
            f"only {len(chosen)} moments of {split} episodes can be contexts, {count} asked for: collect more"
        )
    chosen = [chosen[i] for i in rng.permutation(len(chosen))]
    contexts = _contexts(episodes, chosen, all_tags, model)
    missing = [name for i, name in enumerate(SCENARIO_TAGS) if not contexts.tags[:, i].any()]
    # With fewer contexts than tags nobody expects them all.
    if missing and not fewer and count >= len(SCENARIO_TAGS):
        raise ValueError(f"no {split} moment has the tags {', '.join(missing)}: collect more episodes")
    return contexts


def export(
    trainer: Trainer, data: PackedData, count: int, path: Path | None = None, more: Mapping[str, Any] = {}
) -> Path:
    """Write the checkpoint of a run, `OUT/checkpoint` if no other path is given; `more`: facts for its card."""
    config = trainer.config
    model, facts = trainer.objective.finish()
    about: dict[str, Any] = {
        "steps": trainer.step,
        "batch_size": config.batch_size,
        "horizon": config.horizon,
        "learning_rate": config.learning_rate,
        "seed": config.seed,
        **facts,
        "architecture": config.model,
        "parameters": sum(p.numel() for p in model.parameters()),
        "episodes": len(data),
        "frames": data.steps,
        **({"start": config.start, "frames_before": learned_from(config.start)} if config.start else {}),
        "simulators": sorted(set(map(str, data.simulators))),
        "data_seeds": f"{data.seeds.min()} to {data.seeds.max()}",
        "device": f"{trainer.device.type}, {trainer.world} processes, {trainer.hours():.2f} hours",
        **more,
    }
    contexts = choose_contexts(data, count, model)
    if len(contexts) < count:
        print(f"{len(contexts)} starting contexts instead of {count}: the validation episodes have no more")
    bound = uncertainty_bound(model, data)
    written = save_pretrained(path or trainer.out / "checkpoint", model, contexts, bound, about)
    if trainer.objective.cache is not None:
        # Not before: what takes long is in there, and all of this may be stopped.
        shutil.rmtree(trainer.objective.cache, ignore_errors=True)
    return written


def _drivable(data: PackedData, row: int, moment: int, steps: int) -> bool:
    """Whether a row is a sensible start: near the route, roughly along it, without an event, after known actions.

    moment: of the episode that the row is. steps: of a context.
    """
    # No action led to an episode's first moment.
    acted = data.known("actions", slice(row - min(steps - 1, moment - 1), row + 1)).all()
    _, _, _, _, distance, heading_error = data.arrays["ego"][row]
    good = abs(distance) < START_OFFSET and abs(heading_error) < START_HEADING
    return bool(good and acted and not (data.has("events") and data.arrays["events"][row].any()))


def _evenly(tags: np.ndarray, count: int) -> set[int]:
    """Indices of `count` rows of tags (N, 7) bool, taking turns among the tags, and those without any."""
    chosen: set[int] = set()
    queues = [list(np.flatnonzero(of_tag)) for of_tag in (*tags.T, ~tags.any(1))]
    while len(chosen) < count:
        for queue in queues:
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < count:
                chosen.add(int(queue.pop(0)))
        if not any(queues):
            break
    return chosen


def _contexts(episodes: PackedData, moments: list[tuple[int, int]], tags: np.ndarray, model: WorldModel) -> Contexts:
    a = episodes.arrays
    rows = np.array([episodes.starts[e] + np.arange(t - model.context_steps + 1, t + 1) for e, t in moments])
    # Row 0 of an episode has no action: its actions begin with row 1.
    replays = [a["actions"][episodes.starts[e] + 1 : episodes.starts[e] + t + 1] for e, t in moments]
    return Contexts(
        {name: episodes.read(name, rows) for name in model.observes},
        actions=a["actions"][rows],
        tags=tags[rows[:, -1]],
        scenarios=np.array([episodes.seeds[e] for e, _ in moments]),
        replay=np.concatenate(replays),
        replay_starts=np.concatenate([[0], np.cumsum([len(r) for r in replays])]),
    )
