"""What a card tells of a checkpoint."""

from __future__ import annotations

import json

import pytest

from learned_sim_env.world_model.card import card
from learned_sim_env.world_model.checkpoint import find
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from learned_sim_env.world_model.rssm.model import DrivingRSSM


def test_how_it_was_trained_is_a_table_and_its_history_is_told():
    text = card("mine", "A model.", {"batch_size": 16, "history": "Half of it was dreamt."}, "# Measured\n")
    assert "A model. It ships frozen" in text
    assert "| batch size | 16 |\n\nHalf of it was dreamt.\n\n# Measured" in text
    assert "| history" not in text
    assert "learned-sim evaluate --card" in card("mine", "A model.", {"steps": 3}), "as long as nothing was measured"


@pytest.mark.parametrize(("name", "model"), [("bev-rssm", DrivingRSSM), ("camera-rssm", CameraWorldModel)])
def test_the_cards_that_ship_are_of_what_ships(name, model):
    folder = find(name)
    config, shipped = json.loads((folder / "config.json").read_text()), (folder / "card.md").read_text()
    measured = shipped[shipped.index("# Evaluation") :]
    assert shipped == card(name, model.about, config["training"], measured)
    assert f"Model {config['files']['model.safetensors'][:12]}," in measured
