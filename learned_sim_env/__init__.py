"""Frozen, trained world models as Gymnasium environments, with simulator twins of the same contract.

Importing the package registers every environment of `envs/`; it loads neither torch nor a simulator.
"""

from __future__ import annotations

from typing import Any

from learned_sim_env.registration import register_all
from learned_sim_env.version import __version__

__all__ = ["__version__", "from_pretrained"]

register_all()


def __getattr__(name: str) -> Any:
    if name == "from_pretrained":  # needs torch, which this import leaves alone
        from learned_sim_env.world_model.checkpoint import from_pretrained

        return from_pretrained
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
