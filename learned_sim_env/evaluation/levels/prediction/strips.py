"""True futures above, dreams below: a few windows to look at, one for each kind of place."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.evaluation.levels.prediction.futures import PredictedFutures
from learned_sim_env.evaluation.open_loop import drawn_now, dream, observed
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.needs import listed
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.reporting.parts import Part, not_applicable
from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.protocol import WorldModel

# Steps between the pictures of a strip.
EVERY = 8


def choose(tags: np.ndarray, whole: np.ndarray, episode: np.ndarray) -> dict[str, int]:
    """For each tag that occurs, the first window that has it, reaches the end, and is of an episode not yet chosen.

    Args:
        tags: (N, 7) bool, `spec.SCENARIO_TAGS`.
        whole: (N,) bool, whether the window reaches the end.
        episode: (N,) int64.

    Returns:
        Index of the window by tag, rarest tag first chosen, in the order of the tags.
    """
    chosen: dict[str, int] = {}
    taken: set[int] = set()
    for i in np.argsort((tags & whole[:, None]).sum(0), kind="stable"):
        fit = [n for n in np.flatnonzero(tags[:, i] & whole) if int(episode[n]) not in taken]
        if fit:
            chosen[SCENARIO_TAGS[i]] = int(fit[0])
            taken.add(int(episode[fit[0]]))
    return {tag: chosen[tag] for tag in SCENARIO_TAGS if tag in chosen}


def film_strips(model: WorldModel, batch: Batch, name: str, every: int) -> np.ndarray:
    """(B, rows, columns, 3) uint8: of each window the truth and, under it, the mode's dream of a modality.

    name: of the modality. every: steps from picture to picture, from the last moment of the context on.
    """
    shown = slice(batch.context - 1, None, every)
    truth = observed(batch)[name][:, shown].numpy()
    first, later = drawn_now(model, batch, (name,))[name], dream(model, batch, None, (name,))[name]
    dreamt = torch.cat([first[:, None], later], 1)[:, ::every].numpy()
    strips = [_side_by_side(colourise(v) if v.ndim == 4 else v) for v in (truth, dreamt)]
    return np.concatenate(strips, 1)


def _side_by_side(frames: np.ndarray) -> np.ndarray:
    """(B, T, H, W, 3) as B strips (H + 2, T * (W + 2), 3) uint8 with black seams."""
    framed = np.pad(frames, ((0, 0), (0, 0), (0, 2), (0, 2), (0, 0)))
    return framed.transpose(0, 2, 1, 3, 4).reshape(len(frames), frames.shape[2] + 2, -1, 3)


def pictured(model: WorldModel) -> str | None:
    """The modality that strips show: the view from above, or else the first camera; None if neither is drawn."""
    kinds = {name: model.contract.modality(name).kind for name in model.draws}
    cameras = [name for name, kind in kinds.items() if kind == "rgb"]
    return "bev" if "bev" in kinds else next(iter(cameras), None)


def strips_part(model: WorldModel, reader: WindowReader, windows: Windows, seen: PredictedFutures, dt: float) -> Part:
    """Film strips of some of `windows`, of which `seen` are the futures."""
    name = pictured(model)
    if name is None:
        reason = f"{type(model).__name__} draws {listed(model.draws)}, no picture"
        return not_applicable("film_strips", "L1: to look at", reason)
    whole = seen.valid[:, -1]
    chosen = choose(seen.tags, whole, seen.episode)
    some = windows[np.array(list(chosen.values()), np.int64)]
    batch = reader.read(some) if len(some) else None
    strips = film_strips(model, batch, name, EVERY) if batch is not None and name in observed(batch) else ()
    pictures, about = {}, {}
    for tag, picture, seed, start in zip(chosen, strips, reader.data.seeds[some.episode], some.start):
        pictures[f"{tag}: scenario {seed}, context from {start * dt:.1f} s on"] = picture
        about[tag] = {"seed": int(seed), "start": int(start)}
    return Part(
        name="film_strips",
        title="L1: to look at",
        method=(
            f"For each kind of place the first test window that reaches {seen.valid.shape[1]} steps, each of another "
            f"episode: the truth above, the mode's dream below, from the end of the context on, every {EVERY} steps "
            f"({EVERY * dt:g} s). The dream has seen the context and then nothing but the recorded actions."
        ),
        limits=(
            "Few windows, chosen by a rule and not by their look; they illustrate the numbers and prove nothing. Where "
            "dream and truth part, the dream may still be one that could have happened."
        ),
        tables=(),
        values=about,
        pictures=pictures,
    )
