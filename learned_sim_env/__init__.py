"""Frozen, trained world models as Gymnasium environments, with simulator twins of the same contract.

Importing the package registers every environment of `envs/`; it loads neither torch nor a simulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names
from learned_sim_env.registration import register_all
from learned_sim_env.version import __version__

if TYPE_CHECKING:
    from learned_sim_env.world_model.checkpoint import from_pretrained

    load = from_pretrained

__all__ = ["__version__", "from_pretrained", "load"]

register_all()

# It loads torch.
_lazy = lazy_names(__name__, {"from_pretrained": "learned_sim_env.world_model.checkpoint"})


def __getattr__(name: str) -> object:
    return _lazy("from_pretrained" if name == "load" else name)
