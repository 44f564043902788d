"""Watching and driving an environment by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names
from learned_sim_env.viewer.policies import SessionPolicy, open_policy
from learned_sim_env.viewer.session import Session

if TYPE_CHECKING:
    from learned_sim_env.viewer.drive import InteractiveDrive

__all__ = ["InteractiveDrive", "Session", "SessionPolicy", "open_policy"]

# It loads torch.
__getattr__ = lazy_names(__name__, {"InteractiveDrive": "learned_sim_env.viewer.drive"})
