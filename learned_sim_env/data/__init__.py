"""Episodes of recorded driving: collected, stored, packed for training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.data.dataset import iterate_episodes, load_episodes, pack
    from learned_sim_env.data.episode import Episode
    from learned_sim_env.data.packed import PackedData
    from learned_sim_env.data.store import EpisodeFolder, write_minari

__all__ = ["Episode", "EpisodeFolder", "PackedData", "iterate_episodes", "load_episodes", "pack", "write_minari"]

# They load optional packages.
__getattr__ = lazy_names(
    __name__,
    {
        "Episode": "learned_sim_env.data.episode",
        "EpisodeFolder": "learned_sim_env.data.store",
        "PackedData": "learned_sim_env.data.packed",
        "iterate_episodes": "learned_sim_env.data.dataset",
        "load_episodes": "learned_sim_env.data.dataset",
        "pack": "learned_sim_env.data.dataset",
        "write_minari": "learned_sim_env.data.store",
    },
)
