"""What is played back is what was recorded, bit for bit, whatever it is given."""

from __future__ import annotations

import gc
import resource
import warnings
import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from learned_sim_env.world_model import traced as recorded
from learned_sim_env.world_model.traced import played


class Network(nn.Module):
    """Something with a dict in and out, a constant made within, and integers."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.layer, self.scale = nn.Linear(6, 4), scale

    def forward(self, state, x):
        h = torch.tanh(self.layer(torch.cat([state["h"], x], 1))) * self.scale
        return {"h": h, "n": state["n"] + torch.arange(len(x)) % 3}, h.softmax(-1)

    def doubled(self, state, x):
        return 2 * self(state, x)[1]


class Wide(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, y):
        return self.network(x + y)


def given(rows=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {"h": torch.randn(rows, 4, generator=generator), "n": torch.arange(rows)}
    return state, torch.randn(rows, 2, generator=generator)


def same(a, b):
    return torch.equal(a[1], b[1]) and all(torch.equal(a[0][name], b[0][name]) for name in ("h", "n"))


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield


def test_the_same_bits_for_other_numbers():
    network = Network()
    play = played(network, "forward", given())
    assert play != network.forward
    assert all(same(play(*given(seed=seed)), network(*given(seed=seed))) for seed in range(5))
    assert torch.equal(played(network, "doubled", given())(*given(seed=7)), network.doubled(*given(seed=7)))


def test_recorded_once_for_as_many_rows():
    network = Network()
    first = played(network, "forward", given())
    assert played(network, "forward", given(seed=1)) is first
    assert len({first, played(network, "forward", given(3)), played(network, "doubled", given())}) == 3
    for rows in range(10, 10 + recorded.KEPT):
        played(network, "forward", given(rows))
    assert len(recorded._recordings[network]) == recorded.KEPT


def test_modules_of_one_owner_share_recordings_unless_they_differ():
    owner = Network()
    plays = [played(Network(scale), "forward", given(), owner, scale) for scale in (1.0, 1.0, 2.0)]
    assert plays[0] is plays[1]
    assert plays[0] is not plays[2]


def test_weights_that_change_count():
    network = Network()
    play = played(network, "forward", given())
    before = play(*given())
    network.layer.weight.mul_(-1)
    assert not same(before, play(*given()))
    assert same(play(*given()), network(*given()))


def test_recordings_go_when_their_owner_goes():
    network = Network()
    gone = weakref.ref(network)
    played(network, "forward", given())
    del network
    gc.collect()
    assert gone() is None


def resident():
    """[MB] that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is read from /proc")
def test_memory_comes_back_after_forty_models_and_sizes():
    # Of the size of a checkpoint's, 12 MB each: kept, they would add up to half a gigabyte.
    def step(rows):
        network = nn.Sequential(*(nn.Linear(1000, 1000) for _ in range(3)))
        shown = Wide(network)
        played(shown, "forward", (torch.zeros(rows, 1000), torch.zeros(rows, 1000)))

    for rows in range(1, 6):
        step(rows)
    before = resident()
    for rows in range(1, 41):
        step(rows)
    assert resident() - before < 60
    # One model at many sizes holds no more than `KEPT` recordings.
    network = Network()
    for rows in range(1, 41):
        played(network, "forward", given(rows))
    assert len(recorded._recordings[network]) == recorded.KEPT


def test_what_is_not_kept_any_more_is_freed():
    network = Network()
    gone = weakref.ref(played(network, "forward", given(1)))
    for rows in range(2, 2 + recorded.KEPT):
        played(network, "forward", given(rows))
    gc.collect()
    assert gone() is None


def test_recording_warns_of_nothing_and_leaves_weights_as_they_were():
    network = Network()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        played(network, "forward", given())
    assert all(weight.requires_grad for weight in network.parameters())


def test_where_gradients_are_wanted_nothing_is_recorded():
    network = Network()
    with torch.inference_mode(False), torch.enable_grad():
        assert played(network, "forward", given()) == network.forward
    assert network not in recorded._recordings
