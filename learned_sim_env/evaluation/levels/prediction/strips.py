"""True futures above, dreams below: a few windows to look at, one for each kind of place."""

from __future__ import annotations

import numpy as np

from learned_sim_env.evaluation.film_strips import film_strips
from learned_sim_env.evaluation.levels.prediction.futures import PredictedFutures
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.needs import listed
from learned_sim_env.reporting.parts import Part, not_applicable
from learned_sim_env.reporting.pictured import pictured
from learned_sim_env.spec import SCENARIO_TAGS
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


def strips_part(model: WorldModel, reader: WindowReader, windows: Windows, seen: PredictedFutures, dt: float) -> Part:
    """Film strips of some of `windows`, of which `seen` are the futures."""
    name = pictured(model.contract, model.draws)
    if name is None:
        reason = f"{type(model).__name__} draws {listed(model.draws)}, no picture"
        return not_applicable("film_strips", "L1: to look at", reason)
    whole = seen.valid[:, -1]
    chosen = choose(seen.tags, whole, seen.episode)
    some = windows[np.array(list(chosen.values()), np.int64)]
    batch = reader.read(some) if len(some) else None
    strips = film_strips(model, batch, name, EVERY) if batch is not None and name in batch.observations else ()
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
