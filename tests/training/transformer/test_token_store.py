"""Tokens that are kept: the same as if frames were encoded anew, made once, and of this tokenizer alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.training.transformer.token_store import PIECE, TokenStore
from learned_sim_env.world_model.registry import model_of_size
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer
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
def tokenizer() -> Tokenizer:
    torch.manual_seed(0)
    found = model_of_size("transformer-tiny", CONTRACT, modalities=("bev", "front")).tokenizer
    # As different from frame to frame as that of a trained one.
    found.narrow.weight.data *= 3
    return found


def store(tokenizer: Tokenizer, data: PackedData, folder: Path | None = None) -> TokenStore:
    return TokenStore(tokenizer, CONTRACT, data, folder and folder / "some", False)


@torch.no_grad()
def encoded(tokenizer: Tokenizer, data: PackedData) -> np.ndarray:
    """(N, count, channels): every episode at once."""
    found = []
    for start, length in zip(data.starts.tolist(), data.lengths.tolist()):
        rows = slice(start, start + length)
        seen = {name: torch.from_numpy(data.read(name, rows))[None] for name in tokenizer.names}
        hidden = {
            name: torch.from_numpy(~data.known(name, rows))[None, :, None].expand(-1, -1, tokenizer.codec(name).patches)
            for name in tokenizer.names
        }
        found.append(tokenizer.encode(seen, hidden)[0])
    return torch.cat(found).numpy()


def test_tokens_are_those_of_whole_episodes_in_whatever_order_they_are_asked_for(tokenizer, data):
    true = encoded(tokenizer, data)
    windows = np.array([[70, 71, 72], [31, 32, 33], [33, 34, 35], [0, 0, 1]])
    kept = store(tokenizer, data)
    assert kept[windows].shape == (4, 3, *true.shape[1:]) and kept[windows].dtype == np.float16
    assert np.allclose(kept[windows], true[windows], atol=1e-3)
    assert np.allclose(kept[:], true, atol=1e-3) and np.array_equal(kept[:], store(tokenizer, data)[:])
    # Frames differ, and an earlier one matters.
    assert np.abs(true[31] - true[32]).max() > 0.01


def test_tokens_are_made_once_for_all_processes_and_pieces_of_a_run(tokenizer, data, tmp_path, monkeypatch):
    first, second = (store(tokenizer, data, tmp_path) for _ in range(2))
    some, whole = first[np.array([5, 40])], store(tokenizer, data)[:]
    with monkeypatch.context() as patch:
        patch.setattr(tokenizer, "encode", None)
        assert np.array_equal(second[np.array([5, 40])], some)
        # All of both pieces is there, for what comes later as well.
        assert np.array_equal(store(tokenizer, data, tmp_path)[10:60], whole[10:60])
    assert np.array_equal(second[:], whole)
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {whole.nbytes, len(whole)}


def test_tokens_of_another_tokenizer_or_of_other_data_are_not_taken(tokenizer, data, tmp_path, capsys):
    before = store(tokenizer, data, tmp_path)[:]
    assert "frames are kept in" in capsys.readouterr().out
    (tmp_path / "others").touch()
    few = store(tokenizer, data.select(np.array([1])), tmp_path)[np.array([75])]
    assert np.array_equal(few[0], before[75]) and len(list(tmp_path.glob("some-*"))) == 2
    tokenizer.place.data += 0.1
    assert not np.array_equal(store(tokenizer, data, tmp_path)[:], before)
    assert len(list(tmp_path.glob("some-*"))) == 2 and (tmp_path / "others").exists()
