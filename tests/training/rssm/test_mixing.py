"""What was learned from few data is kept as far as unseen data speak for it, part by part."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.export.export import choose_contexts
from learned_sim_env.training.objective import new_model
from learned_sim_env.training.processes import Process
from learned_sim_env.training.rssm.agent_losses import others_around
from learned_sim_env.training.rssm.mixing import OWN, REST, mix
from learned_sim_env.training.rssm.objective import RSSMObjective
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.world_model.checkpoint import from_pretrained, save_pretrained
from learned_sim_env.world_model.registry import model_of_size
from learned_sim_env.world_model.rssm.model import DrivingRSSM

CONTRACT = CONTRACTS["driving"]


def weights(model: DrivingRSSM, part: str) -> torch.Tensor:
    """All weights of a part as one vector."""
    modules = {name: module for name, module in model.named_children() if (name in OWN) == (part in OWN)}
    own = [modules[part]] if part in OWN else modules.values()
    return torch.cat([value.detach().flatten() for module in own for value in module.parameters()])


def test_each_part_is_kept_as_far_as_it_is_better():
    torch.manual_seed(0)
    start, learned = (model_of_size("rssm-tiny", CONTRACT) for _ in range(2))
    model, best = copy.deepcopy(learned), {"ego_path": 0.25, "agent_motion": 1.0, "detector": 0.0, REST: 0.5}

    def judge(part: str) -> float:
        """How far a part is from where it is best; of nothing that is known of the detector, it says the same."""
        wanted = torch.lerp(weights(start, part), weights(learned, part), best[part])
        return 1.0 if part == "detector" else float((weights(model, part) - wanted).norm())

    assert mix(model, start, judge) == best
    for part, share in best.items():
        wanted = torch.lerp(weights(start, part), weights(learned, part), share)
        torch.testing.assert_close(weights(model, part), wanted)
    assert sum(len(weights(model, part)) for part in best) == sum(p.numel() for p in model.parameters())


@pytest.fixture
def first(packed, tmp_path) -> str:
    """A checkpoint to start with, that has learned of driving at 90 m/s."""
    torch.manual_seed(1)
    model = model_of_size("rssm-tiny", CONTRACT).eval()
    model.ego_path.top_speed.fill_(90.0)
    return str(save_pretrained(tmp_path / "first", model, choose_contexts(packed, 8, model), 1.0, {}))


def objective_of(packed: PackedData, start: str) -> RSSMObjective:
    config = TrainConfig(model="rssm-tiny", start=start, batch_size=4, horizon=6)
    return RSSMObjective(config, RSSMSettings(path_batch=8), packed, Process(0, 1), torch.device("cpu"))


def crowded(packed: PackedData, others: int) -> PackedData:
    """The same with so many others at the ego's place in every moment."""
    arrays = dict(packed.arrays)
    ids, poses = arrays["agent_ids"].copy(), arrays["agent_poses"].copy()
    ids[:, :others] = np.arange(others)
    poses[:, :others] = arrays["ego_pose"][:, None]
    return replace(packed, arrays={**arrays, "agent_ids": ids, "agent_poses": poses})


def test_others_are_kept_track_of_as_there_are_in_the_logs(packed, first, tmp_path):
    few, many = objective_of(packed, first), objective_of(crowded(packed, 11), first)
    assert few.model.config.slots == from_pretrained(first).model.config.slots == 4 and many.model.config.slots == 11
    assert others_around(many.model, many.train) == 11
    state = many.model.initial(2)
    state = many.model.imagine(state, torch.zeros(2, 2), torch.rand(2, many.model.noise_size))
    assert state["agent_pose"].shape == (2, 11, 3)
    # What was adapted can be adapted again, and keeps track of no fewer.
    again = str(save_pretrained(tmp_path / "again", many.model.eval(), from_pretrained(first).contexts, 1.0, {}))
    assert objective_of(packed, again).model.config.slots == 11
    with pytest.raises(ValueError, match="is no rssm-small"):
        new_model(TrainConfig(model="rssm-small", start=again), free=("slots",))
    with pytest.raises(ValueError, match="is no rssm-tiny"):
        new_model(TrainConfig(model="rssm-tiny", start=again))


def test_what_is_known_of_faster_driving_is_not_lost(packed, first):
    assert float(objective_of(packed, first).model.ego_path.top_speed) == 90.0
    anew = objective_of(packed, "")
    assert float(anew.model.ego_path.top_speed) == WindowSampler(packed, 5, 6, 0.1).top_speed < 90.0
