"""One file an environment: what is declared is registered, and a wrong declaration is refused with its remedy."""

from __future__ import annotations

import re
from itertools import product

import gymnasium as gym
import pytest
from gymnasium.error import ResetNeeded

from learned_sim_env.registration import BACKENDS, declarations, register_all
from learned_sim_env.resources import checkpoints_dir, envs_dir
from learned_sim_env.spec import CONTRACTS

VALID = 'id = "Toy-v0"\nbackend = "learned"\ncontract = "driving"\n'


@pytest.fixture
def folder(tmp_path):
    """A folder of declarations that holds one valid file, Toy-v0.toml."""
    (tmp_path / "Toy-v0.toml").write_text(VALID)
    return tmp_path


def test_every_file_is_an_id_and_every_id_a_file():
    assert sorted(declarations()) == sorted(path.stem for path in envs_dir().glob("*.toml"))
    assert {"LearnedDriving-v0", "MetaDriveDriving-v0"} <= set(declarations())


@pytest.mark.parametrize("env_id", declarations())
def test_registered_as_declared(env_id):
    declaration, spec = declarations()[env_id], gym.spec(env_id)
    backend = BACKENDS[declaration.backend]
    assert (spec.entry_point, spec.vector_entry_point) == (backend.entry_point, backend.vector_entry_point)
    assert spec.kwargs == declaration.kwargs()
    assert spec.max_episode_steps == declaration.max_episode_steps == CONTRACTS[declaration.contract].max_episode_steps
    assert gym.envs.registration.EnvSpec.from_json(spec.to_json()) == spec


def test_ids_say_what_is_observed_and_how_it_is_driven():
    observed = {"": "dict", "Flat": "flat", "Latent": "latent"}
    driven = {"": "continuous", "Discrete": "discrete"}
    for env_id, declaration in declarations().items():
        _, seen, moved = re.fullmatch(r"(\w+?)(|Flat|Latent)(|Discrete)-v\d+", env_id).groups()
        assert declaration.form == (observed[seen], driven[moved]), env_id
        plain = seen + moved == ""
        assert declaration.settings.get("info_type", "full") == ("full" if plain else "numeric"), env_id
    for base, seen, moved in product(("LearnedDriving", "MetaDriveDriving", "CarlaDriving"), observed, driven):
        assert f"{base}{seen}{moved}-v0" in declarations()


def test_learned_ids_have_a_twin_and_a_shipped_checkpoint():
    for declaration in declarations().values():
        if declaration.backend == "learned":
            assert declarations()[declaration.twin].backend != "learned"
            assert (checkpoints_dir() / declaration.settings["checkpoint"] / "config.json").is_file()


@pytest.mark.parametrize("env_id", [d.id for d in declarations().values() if d.backend == "learned"])
def test_make_gives_an_env_that_wants_a_reset(env_id):
    env = gym.make(env_id)
    assert env.spec.max_episode_steps == 500
    assert env.unwrapped.contract == CONTRACTS[declarations()[env_id].contract]
    with pytest.raises(ResetNeeded):
        env.step(env.action_space.sample())
    env.close()


def test_adding_an_environment_is_adding_a_file(tmp_path):
    text = (envs_dir() / "LearnedDriving-v0.toml").read_text()
    text = text.replace("LearnedDriving-v0", "AddedDriving-v0").replace('twin = "MetaDriveDriving-v0"\n', "")
    (tmp_path / "AddedDriving-v0.toml").write_text(text)
    register_all(tmp_path)
    try:
        env = gym.make("AddedDriving-v0")
        env.reset(seed=0)
        env.close()
    finally:
        del gym.registry["AddedDriving-v0"]


def test_registering_again_changes_and_warns_nothing(recwarn):
    before = dict(gym.registry)
    register_all()
    assert gym.registry == before
    assert not recwarn.list


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VALID + 'backnd = "learned"\n', r"unknown key 'backnd'\. Did you mean 'backend'\?"),
        (VALID.replace("learned", "lerned"), r"unknown backend 'lerned'\. Did you mean 'learned'\?"),
        (VALID.replace("driving", "drivin"), r"unknown contract 'drivin'\. Did you mean 'driving'\?"),
        (VALID.replace("Toy", "Other"), r"id 'Other-v0' is not the file's name"),
        (VALID.replace('contract = "driving"\n', ""), r"key 'contract' is missing"),
        (VALID.replace('"learned"', "3"), r"backend must be a string, not 3"),
        (VALID + 'settings = "fast"\n', r"settings must be a table, not 'fast'"),
        (VALID + "id\n", r"Toy-v0\.toml: .*line 4"),
    ],
)
def test_wrong_declaration_is_refused(folder, text, message):
    (folder / "Toy-v0.toml").write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        declarations(folder)
    assert "Toy-v0.toml" in str(raised.value)


def test_twin_must_be_declared(folder):
    (folder / "Toy-v0.toml").write_text(VALID + 'twin = "Ty-v0"\n')
    with pytest.raises(ValueError, match=r"Toy-v0: unknown twin 'Ty-v0'\. Did you mean 'Toy-v0'\?"):
        declarations(folder)


def test_twin_must_keep_the_same_contract(folder, monkeypatch):
    monkeypatch.setitem(CONTRACTS, "racing", CONTRACTS["driving"])
    (folder / "Toy-v0.toml").write_text(VALID + 'twin = "Race-v0"\n')
    (folder / "Race-v0.toml").write_text('id = "Race-v0"\nbackend = "metadrive"\ncontract = "racing"\n')
    with pytest.raises(ValueError, match="its twin Race-v0 keeps contract 'racing', not 'driving'"):
        declarations(folder)


def test_twin_must_have_the_same_form(folder):
    (folder / "Toy-v0.toml").write_text(VALID + 'twin = "Other-v0"\n')
    flat = '[settings]\nobs_type = "flat"\n'
    (folder / "Other-v0.toml").write_text('id = "Other-v0"\nbackend = "metadrive"\ncontract = "driving"\n' + flat)
    with pytest.raises(ValueError, match=r"its twin Other-v0 has obs_type and action_type .*'flat'"):
        declarations(folder)


def test_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no environment is declared"):
        declarations(tmp_path)
