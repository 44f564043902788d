"""Rows of imagination: what a segment holds, where dreams end, and that they go on from a saved moment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.agents.experience.dreams import Dreams
from learned_sim_env.agents.settings import DreamSettings
from tests.agents.line_world import BORDER, GOAL, STRIDE, line_checkpoint

SETTINGS = DreamSettings(rows=6, horizon=5, dream=4, speed_limit=0, cost_weight=5.0, wrong_way_weight=2.0, penalty=0.5)


def right(features, ego):
    choice = np.full((len(ego), 2), 0.5, np.float32)
    return choice, choice


def chance(seed=0):
    return np.random.default_rng(seed)


def test_what_a_segment_holds():
    segment = Dreams(line_checkpoint(), SETTINGS).segment(right, chance())
    assert segment.features.shape == (6, 6, 12) and segment.decided.shape == (5, 6, 2) and segment.steps == 30
    x = segment.features[..., 0]
    moved = (x[:-1] + STRIDE * 0.5).clamp(-1, 1)
    cost = (moved > BORDER).float()
    torch.testing.assert_close(segment.costs, cost)
    torch.testing.assert_close(segment.contract_rewards, 1 - (moved - GOAL).abs())
    torch.testing.assert_close(segment.rewards, segment.contract_rewards - 2.0 * cost - 0.5 * 0.25)
    assert (segment.goes_on == 1).all() and not segment.ended.any()
    torch.testing.assert_close(x[1:][~segment.left], moved[~segment.left])
    torch.testing.assert_close(segment.left_features[:, 0], moved[segment.left])


def test_no_dream_lasts_longer_than_asked_and_rows_are_apart():
    segment = Dreams(line_checkpoint(), SETTINGS).segment(right, chance(), horizon=24)
    ends = [np.flatnonzero(segment.left[:, row]) for row in range(6)]
    assert all((np.diff(row) == 4).all() and row[0] < 4 for row in ends)
    assert len({int(row[0]) for row in ends}) > 1


@pytest.mark.parametrize(("tells", "steps"), [(None, 40), (False, 40), (True, 100)])
def test_dreams_last_as_long_as_features_tell_of_the_road(tells, steps):
    checkpoint = line_checkpoint()
    if tells is not None:
        checkpoint.model.tells_imagined_road = tells
    assert Dreams(checkpoint, DreamSettings(rows=2)).settings.dream == steps
    assert Dreams(checkpoint, DreamSettings(rows=2, dream=7)).settings.dream == 7
    segment = Dreams(checkpoint, DreamSettings(rows=8)).segment(right, chance(), horizon=2 * steps + 1)
    assert all((np.diff(np.flatnonzero(segment.left[:, row])) == steps).all() for row in range(8))
    assert segment.left.sum() >= 16


def test_values_of_what_was_left_are_not_those_of_the_next_dream():
    segment = Dreams(line_checkpoint(), SETTINGS).segment(right, chance())
    values = segment.features[..., 0]
    following = segment.next_values(values, lambda features: features[:, 0])
    torch.testing.assert_close(following, (values[:-1] + STRIDE * 0.5).clamp(-1, 1))


def test_events_end_dreams_as_often_as_they_are_likely():
    settings = DreamSettings(rows=400, horizon=10, dream=10**9)
    segment = Dreams(line_checkpoint(cliff=0.25), settings).segment(right, chance())
    beyond = segment.goes_on < 1
    assert segment.goes_on[beyond].unique().tolist() == [0.75]
    assert torch.equal(segment.ended, segment.left) and not segment.ended[~beyond].any()
    assert segment.ended[beyond].float().mean() == pytest.approx(0.25, abs=0.04)
    # What a crash takes is expected, not drawn.
    assert segment.contract_rewards[beyond].max() <= 1 - 0.25 * 10


@pytest.mark.parametrize("checkpoint", ["line", "bev-rssm"])
def test_they_go_on_from_a_saved_moment(checkpoint):
    def dreams():
        if checkpoint == "line":
            return Dreams(line_checkpoint(), SETTINGS)
        from learned_sim_env.world_model.checkpoint import from_pretrained

        return Dreams(from_pretrained(checkpoint), DreamSettings(rows=2, horizon=2, dream=5))

    first, second = dreams(), dreams()
    second.recall(first.memory())  # nothing, yet
    first.segment(right, chance())
    second.recall(first.memory())
    a, b = (them.segment(right, chance(1)) for them in (first, second))
    for name, value in vars(a).items():
        assert torch.equal(value, getattr(b, name)), name
