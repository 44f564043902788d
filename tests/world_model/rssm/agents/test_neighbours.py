"""Who is next to the ego, where, and how fast it comes nearer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learned_sim_env.spec import CONTRACTS, EGO_SIZE, SemanticClass
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.rssm.agents.neighbours import FAR, LANES, MOST, NEAREST, SIZE, Neighbours
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# Numbers of a place, and places.
THERE, CLOSENESS, CLOSING, RATE, LEFTWARDS, DRIFT = range(6)
LEFT, OWN, RIGHT = range(3)
AHEAD, BEHIND = range(2)
LENGTH, WIDTH = 4.6, 1.9


def told(poses, speeds, speed=8.0, size=(LENGTH, WIDTH)):
    """(6, 3, 2) numbers of each lane, ahead and behind, of agents at `poses` with `speeds`."""
    pose = torch.tensor(poses, dtype=torch.float32).reshape(1, -1, 3)
    motion = torch.zeros_like(pose)
    motion[0, :, 0] = torch.tensor(speeds)
    classes = torch.full(pose.shape[:2], int(SemanticClass.VEHICLE), dtype=torch.uint8)
    sizes = torch.tensor(size).repeat(1, pose.shape[1], 1)
    return Neighbours()(pose, motion, sizes, classes, torch.tensor([speed])).view(-1, 3, 2)


def crowd(rows, slots=6, seed=0):
    """Agents all around, as `Neighbours` takes them."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, (15, 4, 1.5), (rows, slots, 3))
    motion = rng.uniform(0, 15, (rows, slots, 3))
    size = rng.uniform((0.5, 0.5), (8, 2.5), (rows, slots, 2))
    floats = [torch.from_numpy(v).float() for v in (pose, motion, size, rng.uniform(0, 15, rows))]
    there = torch.from_numpy(rng.random((rows, slots)) < 0.6).byte() * int(SemanticClass.VEHICLE)
    return *floats[:3], there, floats[3]


@pytest.mark.parametrize(("lane", "y"), [(LEFT, 3.5), (OWN, 0.4), (RIGHT, -3.5)])
@pytest.mark.parametrize(("way", "x"), [(AHEAD, 20.0), (BEHIND, -20.0)])
def test_gap_and_closing_speed_are_those_of_the_boxes(lane, y, way, x):
    numbers = told([[x, y, 0.0]], [5.0], speed=8.0)
    gap = 20 - (LENGTH + EGO_SIZE[0]) / 2
    # One ahead comes nearer as the ego is faster; one behind falls back.
    closing = 3.0 if way == AHEAD else -3.0
    wanted = [1, 1 - gap / FAR, closing / 10, closing / (gap + NEAREST), y / 4, 0]
    assert torch.allclose(numbers[:, lane, way], torch.tensor(wanted), atol=1e-6)
    numbers[:, lane, way] = 0
    assert not numbers.any(), "nobody is elsewhere"


def test_in_a_bend_it_is_along_the_bend():
    # On a circle around (0, 25): the ego, one 30 m ahead of it, one as far behind, and one that comes towards it on the
    # lane to the left.
    def at(arc, radius, turned=0.0):
        angle = arc / radius
        return [radius * np.sin(angle), 25 - radius * np.cos(angle), angle + turned]

    numbers = told([at(25, 25), at(-25, 25), at(20, 21.5, np.pi)], [8.0, 8.0, 8.0])
    assert (numbers[THERE, OWN] == 1).all() and numbers[THERE, LEFT, AHEAD] == 1
    assert numbers[LEFTWARDS, OWN].abs().max() < 0.02
    assert numbers[CLOSING, OWN].abs().max() < 0.02, "they keep their distance"
    assert numbers[CLOSING, LEFT, AHEAD] > 1.2, "this one comes nearer as fast as both drive"
    assert not numbers[:, LEFT, BEHIND].any() and not numbers[:, RIGHT].any()


def test_who_comes_across_moves_sideways():
    numbers = told([[12.0, -1.0, np.pi / 2]], [6.0], speed=8.0)
    gap = 12 - (WIDTH + EGO_SIZE[0]) / 2
    wanted = torch.tensor([1, 1 - gap / FAR, 0.8, 8 / (gap + NEAREST), -0.25, 1.2])
    assert torch.allclose(numbers[:, OWN, AHEAD], wanted, atol=1e-5)


def test_of_several_it_is_the_nearest_in_whatever_slot():
    poses, speeds = [[30.0, 0, 0], [14.0, 0, 0], [22.0, 3.5, 0], [-9.0, 0, 0]], [1.0, 2.0, 3.0, 4.0]
    numbers = told(poses, speeds)
    assert torch.allclose(numbers[CLOSING, OWN, AHEAD], torch.tensor(0.6))
    assert torch.equal(told(poses[::-1], speeds[::-1]), numbers)


def test_where_nobody_is_all_is_zero():
    pose, motion, size, classes, speed = crowd(8)
    model = Neighbours()
    assert not model(pose, motion, size, torch.zeros_like(classes), speed).any()
    # What is left in an empty slot does not matter.
    empty = (classes == 0)[..., None]
    assert torch.equal(
        model(pose, motion, size, classes, speed),
        model(torch.where(empty, 0.0, pose), torch.where(empty, 3.0, motion), size, classes, speed),
    )
    assert not told([[FAR + 10, 0.0, 0.0], [0.0, 9.0, 0.0]], [0.0, 0.0]).any(), "they are too far away"


def test_numbers_are_bounded():
    numbers = Neighbours()(*crowd(2000)).view(2000, 6, 6)
    assert numbers.shape[1:].numel() == SIZE == 6 * 2 * len(LANES)
    assert (numbers[:, THERE] >= 0).all() and (numbers[:, THERE] <= 1).all()
    assert (numbers[:, CLOSENESS] >= 0).all() and (numbers[:, CLOSENESS] <= 1).all()
    assert numbers.abs().max() <= MOST and numbers.std() < 1
    # Each place is taken in many rows, and empty in many.
    assert ((numbers[:, THERE] > 0).float().mean(0) - 0.4).abs().max() < 0.3


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ((-70, 3.5, 0), (70, 3.5, 0)),
        ((15, 8, 0), (15, -8, 0)),
        ((15, -20, 1.57), (15, 20, 1.57)),
        ((15, 3, 0), (15, 3, 7)),
    ],
    ids=["overtakes", "changes lanes", "comes across", "turns"],
)
def test_numbers_change_gradually(begin, end):
    steepest = []
    for count in (1000, 10000):
        pose = torch.lerp(torch.tensor(begin).float(), torch.tensor(end).float(), torch.linspace(0, 1, count)[:, None])
        motion, size = torch.tensor([12.0, 0.0, 0.0]).repeat(count, 1, 1), torch.tensor([LENGTH, WIDTH])
        classes = torch.full((count, 1), int(SemanticClass.VEHICLE), dtype=torch.uint8)
        numbers = Neighbours()(pose[:, None], motion, size.repeat(count, 1, 1), classes, torch.full((count,), 8.0))
        steepest.append(numbers.diff(dim=0).abs().max())
    assert steepest[0] > 0 and steepest[1] < 0.2 * steepest[0], "a jump is as large however small the steps"


@pytest.mark.parametrize("slots", [4, 6, 11])
@torch.inference_mode()
def test_a_row_does_not_know_its_place(slots):
    everything = crowd(300, slots)
    model = Neighbours()
    whole = model(*everything)
    for rows in (1, 2, 3, 5, 8, 17, 37, 300):
        assert torch.equal(model(*(v[:rows] for v in everything)), whole[:rows]), rows
        assert torch.equal(model(*(v[-rows:] for v in everything)), whole[-rows:]), rows


@pytest.mark.parametrize("rows", [1, 50])
def test_gradients_are_finite(rows):
    *floats, classes, speed = crowd(rows)
    floats = [*(v.requires_grad_() for v in floats), classes, speed.requires_grad_()]
    Neighbours()(*floats).square().sum().backward()
    for value in (*floats[:3], speed):
        assert torch.isfinite(value.grad).all() and (rows == 1 or value.grad.any())
    assert not floats[0].grad[classes == 0].any()


def test_features_of_models_made_before_are_as_they_were():
    before = from_pretrained("bev-rssm").model
    assert before.surroundings.neighbours is None and before.latent_size == 346
    assert SIZES["rssm-small"].neighbours
    with_, without = (
        DrivingRSSM(replace(SIZES["rssm-tiny"], neighbours=told), CONTRACTS["driving"]) for told in (True, False)
    )
    assert with_.latent_size == without.latent_size + SIZE
    assert with_.state_dict().keys() == without.state_dict().keys(), "only a network's width is another"
    state, old = with_.initial(2), without.initial(2)
    assert with_.features(state).shape == (2, with_.latent_size)
    assert {name for name in state if state[name].shape != old[name].shape} == {"surroundings"}
