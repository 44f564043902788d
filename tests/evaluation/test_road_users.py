"""Road users that go on as they did are more realistic than others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.evaluation.levels.world.road_users import (
    MODEL,
    STEADY,
    RoadUsersConfig,
    has_road_users,
    nearest_gap,
    realism,
)
from learned_sim_env.evaluation.levels.world.road_users_part import road_users
from learned_sim_env.measures.histogram_likelihood import NAMES
from learned_sim_env.spec import EGO_SIZE
from learned_sim_env.world_model.geometry import compose
from tests.evaluation.small import small_checkpoint
from tests.evaluation.world import CAR, FIRST_SEED, SPEED, Oracle, checkpoint, episode, packed

CONFIG = RoadUsersConfig(windows=3, futures=4, horizon=20, batch_size=2)


class Traffic(Oracle):
    """Knows the other car, which in its futures drives `share` as fast as it does, give or take."""

    def __init__(self, data, share):
        super().__init__(data)
        self.share = share

    def initial(self, batch_size):
        agents = {"agent_pose": torch.zeros(batch_size, 2, 3), "agent_size": torch.ones(batch_size, 2, 2)}
        agents["agent_class"] = torch.zeros(batch_size, 2, dtype=torch.uint8)
        return {**super().initial(batch_size), "pose": torch.zeros(batch_size, 3), **agents}

    def observe(self, state, action, observation):
        row = super().observe(state, action, observation)["row"]
        new = self.initial(len(row))
        moment = row - torch.from_numpy(np.searchsorted(self.ends, self.ends[row.numpy()]))
        # In the frame of the ego, which is a pixel a step fast.
        new["agent_pose"][:, 1, 0] = 9.0 + moment * SPEED * 0.1
        new["agent_pose"][:, 1, 1] = -3.0
        new["agent_size"][:, 1] = torch.tensor(CAR)
        new["agent_class"][:, 1] = 6
        return {**new, "row": row}

    def imagine(self, state, action, noise, temperature=1.0):
        ahead = torch.tensor([SPEED * 0.1, 0.0, 0.0])
        agents = state["agent_pose"].clone()
        agents[:, 1, 0] += (2 * self.share - 1) * SPEED * 0.1 + 0.1 * (noise[:, 0] - 0.5)
        pose = compose(state["pose"], ahead.expand(len(agents), 3))
        return {**state, **super().imagine(state, action, noise), "pose": pose, "agent_pose": agents}


@pytest.fixture(scope="module")
def data():
    return packed([episode(FIRST_SEED + i, 40) for i in range(3)])


def test_one_that_drives_as_it_did_is_more_realistic_than_one_that_stops(data):
    right, wrong = (realism(Traffic(data, share), data, CONFIG) for share in (1.0, 0.0))
    (right, episodes), (wrong, _) = right, wrong
    assert right[MODEL].shape == (3, len(NAMES) + 1) and episodes.tolist() == [0, 1, 2]
    speed = NAMES.index("speed [m/s]")
    # It keeps its speed, as what is compared with does; chance puts half of its steps into the next bin.
    assert right[STEADY][:, speed] == pytest.approx(wrong[STEADY][:, speed])
    assert (right[STEADY][:, speed] > 0.9).all() and (right[MODEL][:, speed] > 0.3).all()
    assert (wrong[MODEL][:, speed] < 0.05).all() and (wrong[MODEL][:, -1] < right[MODEL][:, -1]).all()


def test_chance_depends_on_the_moment_alone(data):
    alone = RoadUsersConfig(windows=3, futures=4, horizon=20, batch_size=1)
    together, apart = (realism(Traffic(data, 1.0), data, config)[0][MODEL] for config in (CONFIG, alone))
    np.testing.assert_array_equal(together, apart)


def test_gaps_are_between_boxes_and_to_the_ego():
    pose = torch.tensor([[[10.0, 0.0, 0.0], [10.0, 5.0, torch.pi / 2], [0.0, 30.0, 0.0]]])
    size = torch.tensor([[[4.0, 2.0]] * 3])
    there = torch.tensor([[True, True, False]])
    gap = nearest_gap(pose, size, there, torch.zeros(1, 3))[0]
    # The second, turned, is 2 m from its middle to its end, the first 1 m to its side.
    assert gap[:2].tolist() == pytest.approx([2.0, 2.0], abs=1e-5)
    assert gap[2] == pytest.approx(30 - 5 - 1 - 2, abs=1e-5)
    touching = nearest_gap(
        pose[:, :1] * 0 + torch.tensor([3.0, 0.0, 0.0]), size[:, :1], there[:, :1], torch.zeros(1, 3)
    )
    assert touching.item() == pytest.approx(3.0 - EGO_SIZE[0] / 2 - 2.0, abs=1e-5)


def test_the_part_compares_with_one_that_keeps_its_speed(data):
    part = road_users(checkpoint(Traffic(data, 0.0)), data, CONFIG)
    assert part.values["moments"] == 3 and [t.met for t in part.targets] == [False]
    (table,) = part.tables
    assert table.head == ("feature", MODEL, STEADY) and len(table.rows) == len(NAMES) + 1


def test_a_model_without_road_users_cannot_be_measured(data):
    assert not has_road_users(Oracle(data)) and has_road_users(small_checkpoint(data, 3).model)
    assert "not applicable" in road_users(checkpoint(Oracle(data)), data, CONFIG).title
