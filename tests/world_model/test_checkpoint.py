"""Checkpoint folders: what is written is read back, and whatever is wrong is found and named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from learned_sim_env.spec import CONTRACTS, BevSpec
from learned_sim_env.world_model.checkpoint import _sha256, find, from_pretrained, save_pretrained
from learned_sim_env.world_model.contexts import Contexts


def edit(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (folder / "config.json").write_text(json.dumps(config))


def rewrite(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Other weights with a hash that fits them."""
    path = folder / "model.safetensors"
    save_file(tensors, path)
    files = json.loads((folder / "config.json").read_text())["files"]
    edit(folder, files={**files, path.name: _sha256(path)})


def test_round_trip(folder, model, contexts):
    loaded = from_pretrained(folder)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)
    assert not loaded.model.training and not any(p.requires_grad for p in loaded.model.parameters())
    assert np.array_equal(loaded.contexts.observations["bev"], contexts.observations["bev"])
    assert np.array_equal(loaded.contexts.replay_actions(2), contexts.replay[14:21])
    assert (loaded.name, loaded.uncertainty_bound, loaded.training) == ("small", 3.0, {"steps": 0})
    assert {p.suffix for p in folder.iterdir()} == {".safetensors", ".json", ".npz", ".md"}


def test_saving_over_an_old_checkpoint_leaves_nothing_else_behind(folder, model, contexts):
    save_pretrained(folder, model, contexts, 4.0, {})
    assert from_pretrained(folder).uncertainty_bound == 4.0
    assert [p.name for p in folder.parent.iterdir()] == ["small"]


def test_one_flipped_byte(folder):
    for name in ("model.safetensors", "contexts.npz"):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name} does not have the hash .* damaged"):
            from_pretrained(folder)
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)


def test_missing_file(folder):
    (folder / "contexts.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"contexts\.npz is missing"):
        from_pretrained(folder)


def test_missing_unknown_and_misshapen_tensors(folder):
    tensors = load_file(folder / "model.safetensors")
    name = "ego_path.dynamics.0.weight"
    rewrite(folder, {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(ValueError, match=f"lacks the tensor '{name}'"):
        from_pretrained(folder)
    rewrite(folder, {**tensors, "ego_path.dynamic.0.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"ego_path\.dynamic\.0\.weight'\. Did you mean"):
        from_pretrained(folder)
    rewrite(folder, {**tensors, name: torch.zeros(2, 2)})
    with pytest.raises(ValueError, match=r"is \(2, 2\), expected"):
        from_pretrained(folder)


def test_another_schema_contract_or_architecture(folder):
    good = (folder / "config.json").read_text()
    edit(folder, schema_version=99)
    with pytest.raises(ValueError, match="schema version 99, this package reads 3"):
        from_pretrained(folder)
    (folder / "config.json").write_text(good)
    edit(folder, contract={"name": "driving", "fingerprint": "0" * 64})
    with pytest.raises(ValueError, match=r"'0{40}' is no fingerprint of a contract that this package knows"):
        from_pretrained(folder)
    (folder / "config.json").write_text(good)
    driving = CONTRACTS["driving"]
    coarser = replace(driving.modality("bev"), bev=BevSpec(metres_per_pixel=1.5))
    other = replace(driving, modalities=(coarser, *driving.modalities[1:]))
    with pytest.raises(ValueError, match=r"checkpoint small has another 'bev' \(\w{12}\) than contract 'driving'"):
        from_pretrained(folder, contract=other)
    blind = replace(driving, modalities=driving.modalities[1:], observation=("ego",))
    with pytest.raises(ValueError, match="small needs 'bev', which contract 'driving' does not have: use"):
        from_pretrained(folder, contract=blind)
    with pytest.raises(ValueError, match="checkpoint small was made for another task"):
        from_pretrained(folder, contract=replace(driving, dt=0.05))
    edit(folder, draws=["bev"])
    with pytest.raises(ValueError, match=r"says draws \['bev'\], but the model has \('bev', 'route'\)"):
        from_pretrained(folder)
    (folder / "config.json").write_text(good)
    edit(folder, architecture="rsm")
    with pytest.raises(ValueError, match="Did you mean 'rssm'"):
        from_pretrained(folder)


def test_unknown_and_missing_keys(folder):
    good = json.loads((folder / "config.json").read_text())
    edit(folder, contarct={})
    with pytest.raises(ValueError, match=r"'contarct'\. Did you mean 'contract'"):
        from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in good.items() if k != "files"}))
    with pytest.raises(ValueError, match="lacks the key 'files'"):
        from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({**good, "model": {**good["model"], "hiden": 3}}))
    with pytest.raises(ValueError, match=r"'hiden'\. Did you mean 'hidden'"):
        from_pretrained(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        from_pretrained(folder)


def test_unknown_name_and_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="unknown checkpoint 'bev-rsm'"):
        find("bev-rsm")
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        find(tmp_path)


def test_contexts_by_tag(contexts):
    assert 0 in contexts.indices("curve")
    with pytest.raises(ValueError, match="Did you mean 'roundabout'"):
        contexts.indices("roundabuot")
    with pytest.raises(ValueError, match="no context of this checkpoint has the tag 'roundabout'"):
        contexts.indices("roundabout")


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("tags", lambda a: a[:, :6]),
        ("ego", lambda a: a[1:]),
        ("actions", lambda a: a.astype(int)),
        ("scenarios", lambda a: a[:, None]),
        ("replay", lambda a: a[:-1]),
        ("replay_starts", lambda a: a[::-1].copy()),
        ("replay_starts", lambda a: a[1:]),
    ],
)
def test_contexts_are_whole_or_refused(contexts, tmp_path, name, spoil):
    contexts.save(tmp_path / "whole.npz")
    assert len(Contexts.load(tmp_path / "whole.npz")) == len(contexts)
    spoilt = spoil(contexts.arrays()[name])
    there = {"observations": {**contexts.observations, name: spoilt}} if name == "ego" else {name: spoilt}
    replace(contexts, **there).save(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=f"other.npz is not whole: .*{'replay' if 'replay' in name else 'shape'}"):
        Contexts.load(tmp_path / "other.npz")


def test_a_checkpoint_is_named_in_a_line(folder):
    assert len(repr(from_pretrained(folder))) < 200
