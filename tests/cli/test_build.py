"""Recipes, and what is built by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from learned_sim_env.cli import build, recipes
from learned_sim_env.cli.main import main
from learned_sim_env.resources import recipes_dir
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.rssm.roads.library import RoadLibrary

TINY = """
[collect]
contract = "driving-camera"
episodes = 10
max_steps = 45

[train]
model = "camera-tiny"
steps = 3
batch_size = 2
painted = 2
detected = 2
detect_from = 1
warmup = 1
contexts = 2

[evaluate]
episodes = 1
horizon = 10
expected = 0
levels = ["cameras"]

[quick.train]
steps = 2
"""


# Of the view from above, with road in pieces.
ROADS = """
[collect]
contract = "driving"
episodes = 10
max_steps = 45

[roads]
scenarios = 16
steps = 10

[train]
model = "rssm-tiny"
steps = 2
batch_size = 2
warmup = 1
path_steps = 2
agent_steps = 2
head_windows = 2
head_drives = 2
head_steps = 2
contexts = 2

[evaluate]
episodes = 1
horizon = 10
expected = 0
"""


def recipe(folder: Path, text: str = TINY) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("file", sorted(recipes_dir().glob("*.toml")), ids=lambda file: file.stem)
def test_recipes_that_ship_are_whole(file):
    whole, quick = recipes.read(recipes.find(file.stem)), recipes.read(file, quick=True)
    assert whole.name == file.stem and set(whole.minutes) == set(whole.stages)
    assert quick.collect["episodes"] < whole.collect["episodes"] and quick.train["steps"] < whole.train["steps"]


@pytest.mark.parametrize("file", sorted(recipes_dir().glob("*.toml")), ids=lambda file: file.stem)
@pytest.mark.parametrize("quick", [False, True])
def test_recipes_that_ship_can_be_shared_by_the_processes_that_build_them(file, quick, tmp_path):
    build.Build(build.BuildArgs(str(file), tmp_path, quick), recipes.read(file, quick)).check()


def test_what_processes_cannot_share_is_told_before_anything_is_recorded(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["build", str(recipe(tmp_path)), "--out", str(out), "--processes", "3"]) == 2
    assert "batch_size 2 cannot be shared evenly by 3 processes: give 3" in capsys.readouterr().err
    assert not out.exists()


def test_a_quick_recipe_is_the_same_but_for_what_it_says(tmp_path):
    path = recipe(tmp_path)
    whole, quick = recipes.read(path), recipes.read(path, quick=True)
    assert quick.train == {**whole.train, "steps": 2} and quick.collect == whole.collect
    assert whole.evaluate["levels"] == ("cameras",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[collect]", "[colect]", r"mine\.toml: unknown table 'colect'\. Did you mean 'collect'"),
        ("max_steps", "max_step", r"unknown key in \[collect\]: 'max_step'\. Did you mean 'max_steps'"),
        ("painted = 2", "paintd = 2", r"unknown key in \[train\]: 'paintd'\. Did you mean 'painted'"),
        ('"camera-tiny"', '"camera-tin"', "unknown model 'camera-tin'. Did you mean 'camera-tiny'"),
        ("steps = 3", 'steps = "3"', r"\[train\] steps is '3'; it must be of type int"),
        ("steps = 3", "steps = true", r"\[train\] steps is True; it must be of type int"),
        ('levels = ["cameras"]', "levels = [1]", r"\[evaluate\] levels is \[1\]; it must be a list of strings"),
        ('model = "camera-tiny"', "", r"\[train\] has no model"),
        ("episodes = 10", "", r"\[collect\] has no episodes"),
        ("horizon = 10", 'out = "here"', r"unknown key in \[evaluate\]: 'out'"),
        ("[quick.train]", "[quick.trainn]", "unknown table 'trainn'"),
        ("[evaluate]", "[roads]\npieces = 9\n[evaluate]", r"\[roads\] is of no use to camera-tiny"),
        ("[collect]", "[collect", "mine.toml: "),
    ],
)
def test_mistakes_in_a_recipe_are_named(old, new, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        recipes.read(recipe(tmp_path, TINY.replace(old, new, 1)))


def test_unknown_recipe(capsys, tmp_path):
    assert main(["build", "camera-rsm", "--out", str(tmp_path)]) == 2
    assert "unknown recipe 'camera-rsm'. Did you mean 'camera-rssm'?" in capsys.readouterr().err
    assert main(["build", "./no.toml", "--out", str(tmp_path)]) == 2
    assert "there is no recipe no.toml" in capsys.readouterr().err


def test_how_long_it_takes_is_judged_by_stages_that_had_work_to_do(tmp_path, capsys):
    path = recipe(tmp_path, TINY + "\n[minutes]\ncollect = 10\npack = 10\ntrain = 30\n")
    made = build.Build(build.BuildArgs(str(path), tmp_path / "out"), recipes.read(path))
    assert made._expected("train") == 1800
    made.stages = {"collect": {"done": True, "seconds": 2}, "pack": {"done": True, "seconds": 1200}}
    assert made._expected("train") == 3600


def test_stages_have_an_order(tmp_path, capsys):
    assert main(["build", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--stage", "train"]) == 2
    assert "stage train needs collect, pack first" in capsys.readouterr().err


def test_a_recipe_without_roads_has_no_such_stage(tmp_path, capsys):
    assert "roads" not in recipes.read(recipe(tmp_path)).stages
    assert recipes.read(recipe(tmp_path, ROADS)).stages == recipes.STAGES
    path = recipe(tmp_path)
    assert main(["build", str(path), "--out", str(tmp_path / "out"), "--stage", "roads"]) == 2
    assert "recipe mine has no stage roads" in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_imagines_roads_of_the_pieces_that_were_cut(tmp_path, capfd):
    pytest.importorskip("metadrive")
    pytest.importorskip("minari")
    out = tmp_path / "out"
    assert main(["build", str(recipe(tmp_path, ROADS)), "--out", str(out)]) == 0
    assert "roads: stage 3 of 6" in capfd.readouterr().out
    checkpoint = from_pretrained(out / "mine")
    library = RoadLibrary.load(out / "roads.safetensors")
    assert checkpoint.training["pieces_of_road"] == library.sizes.pieces > 4
    assert torch.equal(checkpoint.model.roads.successors, library.successors)


def test_a_collection_that_another_build_has_made_is_used(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(build.collect, "run", lambda args: asked.append((args.out, args.split, args.episodes)))
    there = tmp_path / "there"
    line = ["build", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--stage", "collect"]
    assert main([*line, "--episodes", str(there)]) == 0 and asked == [(there, "train", 10)]
    made = json.loads((tmp_path / "out" / "build.json").read_text())["collect"]["made_with"]
    assert made["--episodes"] == str(there.resolve())
    # Not with those of another folder.
    assert main([*line[:-1], "pack"]) == 2 and len(asked) == 1


@pytest.mark.slow
def test_from_collection_to_card(tmp_path, capfd):
    pytest.importorskip("metadrive")
    pytest.importorskip("minari")
    path, out = recipe(tmp_path), tmp_path / "out"
    line = ["build", str(path), "--out", str(out), "--processes"]
    for stage in ("collect", "pack", "train"):
        assert main([*line, "2", "--stage", stage]) == 0
    assert json.loads((out / "build.json").read_text())["train"]["done"] and not (out / "mine").exists()
    assert main([*line, "1"]) == 2
    assert "stage train had --processes=2, this one has 1" in capfd.readouterr().err
    assert main([*line, "2"]) == 0
    told = capfd.readouterr().out
    assert "export: stage 4 of 5" in told and "collect: stage" not in told and "all stages are done" in told
    checkpoint = from_pretrained(out / "mine")
    assert len(checkpoint.contexts) == 2 and checkpoint.training["steps"] == 3
    assert checkpoint.training["data_seeds"] == "0 to 9"
    card = (out / "mine" / "card.md").read_text()
    assert card.startswith("# mine") and "learned-sim evaluate" in card and "Nothing yet" not in card
    assert (out / "evaluation" / "ladder.html").exists()
    # What was made is not made again, and not mixed with anything else.
    assert main([*line, "2"]) == 0
    assert "stage 1 of 5" not in capfd.readouterr().out
    recipe(tmp_path, TINY.replace("max_steps = 45", "max_steps = 50"))
    assert main([*line, "2"]) == 2
    assert "[collect] max_steps=45, this one has 50" in capfd.readouterr().err
