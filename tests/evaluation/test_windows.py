"""Which windows are evaluated."""

from __future__ import annotations

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.windows import WindowReader, ending_windows, regular_windows
from learned_sim_env.world_model.contexts import CONTEXT_STEPS
from tests.evaluation.world import CONTRACT


def pairs(windows) -> list[tuple[int, int]]:
    return list(zip(windows.episode.tolist(), windows.start.tolist()))


def test_regular_windows_are_spread_over_every_episode(world: PackedData) -> None:
    windows = regular_windows(world, 10)
    # Moments 0 to 70: a context from 60 on ends at 64; one from 66 on would have no step after it.
    assert [s for e, s in pairs(windows) if e == 0] == [0, 10, 20, 30, 40, 50, 60]
    # Of the shortest episode, not even one context fits.
    assert {e for e, _ in pairs(windows)} == {0, 1, 2, 3, 4}


def test_every_moment_before_a_terminal_event_is_judged_once(world: PackedData) -> None:
    regular, ending = pairs(regular_windows(world, 10)), pairs(ending_windows(world, 10, 10))
    assert not set(regular) & set(ending)
    for e, last in ((1, 47), (2, 52), (3, 61)):
        ahead = sorted(last - (s + CONTEXT_STEPS - 1) for i, s in {*regular, *ending} if i == e)
        assert ahead[:10] == list(range(1, 11))
        assert all(a > 10 for a in ahead[10:])
    # Episode 4 is short, episode 0 ends by itself.
    assert [s for e, s in ending if e == 4] == [1, 2, 3]
    assert not [s for e, s in ending if e == 0]


def test_windows_are_read_where_they_say(world: PackedData) -> None:
    windows = regular_windows(world, 7)
    batch = WindowReader(world, 12, CONTRACT.dt).read(windows)
    first = world.starts[windows.episode] + windows.start
    np.testing.assert_array_equal(batch.ego[:, 0].numpy(), world.arrays["ego"][first])
    reached = np.minimum(world.lengths[windows.episode] - windows.start, CONTEXT_STEPS + 12)
    np.testing.assert_array_equal(batch.valid.sum(1).numpy(), reached)
