"""What the RSSM is when its run is over: fitted to the end, with pieces of road."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learned_sim_env.spec import CONTRACTS
from learned_sim_env.training import ego_path
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.export.export import choose_contexts
from learned_sim_env.training.processes import Process
from learned_sim_env.training.rssm import objective as module
from learned_sim_env.training.rssm.objective import RSSMObjective
from learned_sim_env.training.rssm.roads.assembly import with_roads
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.world_model.checkpoint import save_pretrained
from learned_sim_env.world_model.registry import model_of_size
from tests.winding_roads import library_of, winding_pieces

CONFIG = TrainConfig(model="rssm-tiny", batch_size=4, horizon=6)
NOTHING = RSSMSettings(path_batch=8, path_steps=0, agent_batch=4, agent_steps=0, head_windows=1, head_steps=0)


def objective(packed, config: TrainConfig = CONFIG, settings: RSSMSettings = NOTHING) -> RSSMObjective:
    return RSSMObjective(config, settings, packed, Process(0, 1), torch.device("cpu"))


@pytest.mark.slow
def test_what_is_fitted_in_the_end_goes_on_where_it_was_stopped(packed, tmp_path, monkeypatch):
    run = objective(packed, settings=replace(NOTHING, path_steps=4, agent_steps=1))
    whole = run.finish().model.state_dict()
    run.cache = tmp_path

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "fine_tune_heads", stopped)
        with pytest.raises(KeyboardInterrupt):
            run.finish()
    # What was done is not done again.
    monkeypatch.setattr(ego_path, "path_loss", stopped)
    again = run.finish().model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_road_goes_on_in_the_pieces_that_a_checkpoint_knows(packed, tmp_path, monkeypatch):
    torch.manual_seed(1)
    model = model_of_size("rssm-tiny", CONTRACTS["driving"]).eval()
    known, contexts = with_roads(model, library_of(winding_pieces())), choose_contexts(packed, 2, model)
    start = str(save_pretrained(tmp_path / "known", known, contexts, 1.0, {}))
    run = objective(packed, replace(CONFIG, start=start))
    # In training there are none, and all else is as without them.
    assert run.model.roads is None and run.model.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(run.model.parameters(), model.parameters()))
    monkeypatch.setattr(module, "mix", lambda *_: {})
    finished, facts = run.finish()
    assert torch.equal(finished.roads.successors, known.roads.successors)
    assert facts["pieces_of_road"] == known.roads.sizes.pieces


def test_a_checkpoint_without_conflicts_and_neighbours_is_trained_on_without(packed, tmp_path):
    model = model_of_size("rssm-tiny", CONTRACTS["driving"], conflicts=False, neighbours=False).eval()
    start = str(save_pretrained(tmp_path / "before", model, choose_contexts(packed, 2, model), 1.0, {}))
    run = objective(packed, replace(CONFIG, start=start))
    assert run.model.config == model.config and run.model.agent_motion.conflicts is None
    assert run.model.surroundings.neighbours is None
    assert all(torch.equal(a, b) for a, b in zip(run.model.parameters(), model.parameters()))
    new = objective(packed).model
    assert new.agent_motion.conflicts is not None and new.surroundings.neighbours is not None, "new ones have them"
