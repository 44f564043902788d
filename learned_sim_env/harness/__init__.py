"""A learned simulator as a test harness: scenarios, policies, perturbations driven in batches, in dream and twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.harness.engine.job import DriveResult, Job
from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.harness.engine.suite import Suite, SuiteScenario
from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.harness.engine.dream import DreamRunner

__all__ = ["DreamRunner", "DriveResult", "Job", "Perturbation", "Suite", "SuiteScenario"]

# It loads torch.
__getattr__ = lazy_names(__name__, {"DreamRunner": "learned_sim_env.harness.engine.dream"})
