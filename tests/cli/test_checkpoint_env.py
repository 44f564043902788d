"""A checkpoint on the command line finds the environment that it is for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from learned_sim_env.cli import checkpoint_env
from learned_sim_env.cli.checkpoint_env import env_id_for, make_dream
from learned_sim_env.registration import EnvDeclaration
from learned_sim_env.spec import Contract
from learned_sim_env.world_model.checkpoint import from_pretrained
from tests.toy_model import toy_camera_checkpoint


def declared(*names: tuple[str, str, str]) -> dict[str, EnvDeclaration]:
    return {i: EnvDeclaration(i, "learned", contract, settings={"checkpoint": c}) for i, contract, c in names}


def test_the_one_that_ships():
    checkpoint = from_pretrained("bev-rssm")
    env = make_dream(env_id_for(checkpoint), checkpoint)
    assert env.spec.id == "LearnedDriving-v0"
    assert set(env.observation_space.spaces) == {"bev", "ego"}
    env.close()


def test_the_id_that_declares_it_comes_first(monkeypatch):
    known = declared(
        ("A-v0", "driving-camera", "other"), ("B-v0", "driving-camera", "toy-camera"), ("C-v0", "driving", "x")
    )
    monkeypatch.setattr(checkpoint_env, "declarations", lambda: known)
    checkpoint = toy_camera_checkpoint()
    assert env_id_for(checkpoint) == "B-v0"
    checkpoint.name = "./mine"
    assert env_id_for(checkpoint) == "A-v0"


def test_a_contract_that_no_environment_has():
    checkpoint = SimpleNamespace(name="mine", contract=Contract("flying"))
    with pytest.raises(
        ValueError, match=r"checkpoint mine is for contract 'flying', .*: declare one in envs/<id>.toml"
    ):
        env_id_for(checkpoint)
