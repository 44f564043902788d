"""One file an environment: what is declared is registered, and a wrong declaration is refused with its remedy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import gymnasium as gym
import pytest
from gymnasium.error import ResetNeeded

import learned_sim_env
from learned_sim_env.registration import BACKENDS, declarations, look, read, register_all
from learned_sim_env.resources import checkpoints_dir, envs_dir
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.world_model.checkpoint import from_pretrained
from tests.toy_model import ToyModel, toy_checkpoint

VALID = 'id = "Toy-v0"\nbackend = "learned"\ncontract = "driving"\n'


@pytest.fixture
def folder(tmp_path):
    """A folder of declarations that holds one valid file, Toy-v0.toml."""
    (tmp_path / "Toy-v0.toml").write_text(VALID)
    return tmp_path


def test_every_file_is_an_id_and_every_id_a_file():
    assert look().problems == ()
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
    backends, contracts = ("Learned", "MetaDrive", "Carla"), ("Driving", "DrivingCamera")
    for backend, contract, seen, moved in product(backends, contracts, observed, driven):
        assert f"{backend}{contract}{seen}{moved}-v0" in declarations()


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


@pytest.mark.parametrize("vector", [False, True])
def test_declared_contract_and_checkpoint_fit_or_are_named(folder, monkeypatch, vector):
    monkeypatch.setitem(CONTRACTS, "short", replace(CONTRACTS["driving"], name="short", max_episode_steps=99))
    (folder / "Toy-v0.toml").write_text(VALID.replace("driving", "short") + '[settings]\ncheckpoint = "bev-rssm"\n')
    assert declarations(folder)["Toy-v0"].max_episode_steps == 99
    register_all(folder)
    make = gym.make_vec if vector else gym.make
    try:
        message = "checkpoint bev-rssm was made for another task \\(.*than contract 'short'"
        with pytest.raises(ValueError, match=message):
            make("Toy-v0")
        with pytest.raises(ValueError, match=message):
            make("Toy-v0", checkpoint=from_pretrained("bev-rssm"))
        env = make("Toy-v0", checkpoint=toy_checkpoint(ToyModel(contract=CONTRACTS["short"])))
        assert env.unwrapped.episodes.max_episode_steps == 99
    finally:
        del gym.registry["Toy-v0"]


def test_a_declared_time_limit_counts(folder):
    (folder / "Toy-v0.toml").write_text(VALID + '[settings]\ncheckpoint = "bev-rssm"\nmax_episode_steps = 7\n')
    assert declarations(folder)["Toy-v0"].max_episode_steps == 7
    register_all(folder)
    try:
        assert gym.make("Toy-v0").unwrapped.episodes.max_episode_steps == 7
    finally:
        del gym.registry["Toy-v0"]


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
        (VALID.replace("Toy-v0", "Toy v0"), r"id 'Toy v0' is not the file's name"),
        (VALID + '[settings]\ncontract = "driving"\n', r"settings\.contract: this is what 'contract'"),
        (
            VALID + '[settings]\nsimulator = "carla"\n',
            r"settings\.simulator: this is what 'contract' and 'backend' say",
        ),
        (VALID + "id\n", r"Toy-v0\.toml: .*line 4"),
    ],
)
def test_wrong_declaration_is_left_out_and_named(folder, text, message):
    (folder / "Toy-v0.toml").write_text(text)
    (folder / "Good-v0.toml").write_text(VALID.replace("Toy", "Good"))
    found = look(folder)
    assert list(found.known) == ["Good-v0"]
    (problem,) = found.problems
    assert re.search(message, problem) and "Toy-v0.toml" in problem
    with pytest.raises(ValueError, match=message):
        read(folder / "Toy-v0.toml")


def test_files_that_cannot_be_read_are_left_out(folder):
    (folder / "Folder-v0.toml").mkdir()
    (folder / "Bytes-v0.toml").write_bytes(VALID.replace("Toy", "Bytes").encode("utf-16"))
    found = look(folder)
    assert list(found.known) == ["Toy-v0"] and len(found.problems) == 2


def test_a_byte_order_mark_is_no_error(folder):
    (folder / "Toy-v0.toml").write_text(VALID, encoding="utf-8-sig")
    assert look(folder).problems == ()


def test_one_wrong_file_does_not_break_the_import(tmp_path):
    envs = tmp_path / "envs"
    shutil.copytree(envs_dir(), envs)
    (envs / "Bad-v0.toml").write_text("id = ")
    # The package registers when it is imported, so its folder has to be another one before.
    package = tmp_path / "learned_sim_env"
    shutil.copytree(Path(learned_sim_env.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import learned_sim_env
import gymnasium
print([str(w.message) for w in caught], "LearnedDriving-v0" in gymnasium.registry)
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Bad-v0.toml" in done.stdout and done.stdout.endswith("True\n")


def test_what_gymnasium_refuses_is_left_out(folder):
    # A name without a version and one with are not allowed beside each other.
    for name in ("Odd", "Odd-v0"):
        (folder / f"{name}.toml").write_text(VALID.replace("Toy-v0", name))
    try:
        with pytest.warns(UserWarning, match=r"left out or has no twin: Odd: Can't register"):
            register_all(folder)
        assert "Odd-v0" in gym.registry and "Toy-v0" in gym.registry
    finally:
        for name in ("Odd", "Odd-v0", "Toy-v0"):
            gym.registry.pop(name, None)


def test_twin_must_be_declared(folder):
    (folder / "Toy-v0.toml").write_text(VALID + 'twin = "Ty-v0"\n')
    found = look(folder)
    assert found.known["Toy-v0"].twin == ""
    assert re.search(r"Toy-v0.toml: unknown twin 'Ty-v0'\. Did you mean 'Toy-v0'\?", found.problems[0])


def test_twin_must_keep_the_same_contract(folder, monkeypatch):
    monkeypatch.setitem(CONTRACTS, "racing", CONTRACTS["driving"])
    (folder / "Toy-v0.toml").write_text(VALID + 'twin = "Race-v0"\n')
    (folder / "Race-v0.toml").write_text('id = "Race-v0"\nbackend = "metadrive"\ncontract = "racing"\n')
    assert "its twin Race-v0 keeps contract 'racing', not 'driving'" in look(folder).problems[0]


def test_twin_must_have_the_same_form(folder):
    (folder / "Toy-v0.toml").write_text(VALID + 'twin = "Other-v0"\n')
    flat = '[settings]\nobs_type = "flat"\n'
    (folder / "Other-v0.toml").write_text('id = "Other-v0"\nbackend = "metadrive"\ncontract = "driving"\n' + flat)
    assert re.search(r"its twin Other-v0 has obs_type and action_type .*'flat'", look(folder).problems[0])


def test_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no environment is declared"):
        declarations(tmp_path)
