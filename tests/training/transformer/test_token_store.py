"""Tokens that are kept: the same as if frames were encoded anew, made once, and of this tokenizer alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.training.transformer.token_store import PIECE, TokenStore
from learned_sim_env.world_model.geometry import relative
from learned_sim_env.world_model.registry import model_of_size
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from tests.data.recordings import CONTRACT, recording

# Longer than a piece, and shorter.
STEPS = (2 * PIECE + 5, 7)


@pytest.fixture(scope="module")
def data() -> PackedData:
    """Two episodes with a view from above; the second one's front camera was dark for a while."""
    dark = np.arange(STEPS[1] + 1) != 3
    some = [recording(1, STEPS[0]), recording(2, STEPS[1], modalities=("front", "bev", "ego"), masks={"front": dark})]
    return PackedData.of(some, CONTRACT.fingerprints())


@pytest.fixture
def model() -> DrivingTransformer:
    torch.manual_seed(0)
    found = model_of_size("transformer-tiny", CONTRACT, modalities=("bev", "front")).eval()
    # As different from frame to frame as those of a trained one.
    found.tokenizer.narrow.weight.data *= 3
    return found


def store(model: DrivingTransformer, data: PackedData, folder: Path | None = None) -> TokenStore:
    return TokenStore(model, data, folder and folder / "some", False)


@torch.no_grad()
def encoded(model: DrivingTransformer, data: PackedData) -> np.ndarray:
    """(N, count, channels): every episode at once."""
    found, tokenizer = [], model.tokenizer
    for start, length in zip(data.starts.tolist(), data.lengths.tolist()):
        rows = slice(start, start + length)
        seen = {name: torch.from_numpy(data.read(name, rows))[None] for name in tokenizer.names}
        hidden = {
            name: torch.from_numpy(~data.known(name, rows))[None, :, None].expand(-1, -1, tokenizer.codec(name).patches)
            for name in tokenizer.names
        }
        found.append(tokenizer.encode(seen, hidden)[0])
    return torch.cat(found).numpy()


def test_tokens_are_those_of_whole_episodes_in_whatever_order_they_are_asked_for(model, data):
    true = encoded(model, data)
    windows = np.array([[70, 71, 72], [31, 32, 33], [33, 34, 35], [0, 0, 1]])
    kept = store(model, data)
    assert kept[windows].shape == (4, 3, 3, *true.shape[1:]) and kept[windows].dtype == np.float16
    assert np.allclose(kept[windows][:, :, 0], true[windows], atol=1e-3)
    # Each with the one before it in its episode, if there is one.
    before = np.arange(len(true)) - 1
    before[data.starts] += 1
    assert np.array_equal(kept[:][:, 2], kept[:][before, 0])
    assert np.allclose(kept[:][:, 0], true, atol=1e-3) and np.array_equal(kept[:], store(model, data)[:])
    # Frames differ, and an earlier one matters.
    assert np.abs(true[31] - true[32]).max() > 0.01


def test_moved_rows_are_those_of_a_dream(model, data):
    """The drawing of the row before, moved by the true motion; the first row of an episode stood still."""
    kept, start, length = store(model, data)[:], int(data.starts[1]), int(data.lengths[1])
    pose = torch.from_numpy(data.read("ego_pose", slice(start, start + length)))
    motion = relative(pose[1:], pose[:-1]).float()
    assert motion.abs().max() > 0.3
    with torch.inference_mode():
        state = model.initial(1)
        # Until the camera is dark, which the store hides.
        for t in range(4):
            rows = slice(start + t, start + t + 1)
            seen = {name: torch.from_numpy(data.read(name, rows)) for name in ("bev", "front", "ego")}
            shown, tokens = {name: state[f"shown_{name}"] for name in model.draws}, state["tokens"][:, -1]
            state = model.observe(state, torch.zeros(1, 2), seen)
            if t == 0:
                shown, tokens = {name: state[f"shown_{name}"] for name in model.draws}, state["tokens"][:, -1]
            moved = model.moved(tokens, shown, motion[t - 1 : t] if t else torch.zeros(1, 3))
            np.testing.assert_allclose(kept[start + t, 1], moved[0], atol=4e-3)
            if not t:
                np.testing.assert_allclose(state["moved"][0, -1], moved[0], atol=1e-3)
    # Motion that is not known moves nothing, nor what is left as it is.
    blind = replace(data, valid={**data.valid, "pose": np.zeros(len(kept), bool)})
    still = store(model, blind)[:]
    assert np.array_equal(still[:, 0], kept[:, 0]) and not np.allclose(
        still[start + 1, 1], kept[start + 1, 1], atol=0.02
    )
    plain = DrivingTransformer(replace(model.config, moved=False), CONTRACT).eval()
    plain.load_state_dict(model.state_dict())
    some = store(plain, data)[start : start + length]
    assert np.array_equal(some[1:, 1], some[:-1, 0]) and np.array_equal(some[0, 1], some[0, 0])


def test_tokens_are_made_once_for_all_processes_and_pieces_of_a_run(model, data, tmp_path, monkeypatch):
    first, second = (store(model, data, tmp_path) for _ in range(2))
    some, whole = first[np.array([5, 40])], store(model, data)[:]
    with monkeypatch.context() as patch:
        patch.setattr(model.tokenizer, "encode", None)
        assert np.array_equal(second[np.array([5, 40])], some)
        # All of both pieces is there, for what comes later as well.
        assert np.array_equal(store(model, data, tmp_path)[10:60], whole[10:60])
    assert np.array_equal(second[:], whole)
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {whole[:, :2].nbytes, len(whole)}


def test_tokens_of_another_tokenizer_or_of_other_data_are_not_taken(model, data, tmp_path, capsys):
    before = store(model, data, tmp_path)[:]
    assert "frames are kept in" in capsys.readouterr().out
    (tmp_path / "others").touch()
    few = store(model, data.select(np.array([1])), tmp_path)[np.array([75])]
    assert np.array_equal(few[0], before[75]) and len(list(tmp_path.glob("some-*"))) == 2
    blind = replace(data, valid={**data.valid, "ego": np.zeros(len(before), bool)})
    assert not np.array_equal(store(model, blind, tmp_path)[:], before), "nor those that were moved otherwise"
    model.tokenizer.place.data += 0.1
    assert not np.array_equal(store(model, data, tmp_path)[:], before)
    assert len(list(tmp_path.glob("some-*"))) == 2 and (tmp_path / "others").exists()
