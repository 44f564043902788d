"""Numbers that compare predictions with what happened, each saying what it cannot show."""

from __future__ import annotations

from learned_sim_env.measures.bootstrap import Estimate, resample

__all__ = ["Estimate", "resample"]
