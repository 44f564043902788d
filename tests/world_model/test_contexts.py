"""Contexts of several sources as one."""

from __future__ import annotations

import numpy as np

from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.contexts import Contexts


def test_joined_contexts_keep_everything_of_each():
    contexts = from_pretrained("bev-rssm").contexts
    shorter = Contexts(
        {"ego": contexts.ego[:2, -3:], "bev": contexts.observations["bev"][:2, -3:]},
        actions=contexts.actions[:2, -3:],
        tags=contexts.tags[:2],
        scenarios=contexts.scenarios[:2],
        replay=contexts.replay[: contexts.replay_starts[2]],
        replay_starts=contexts.replay_starts[:3],
    )
    joined = Contexts.joined([contexts, shorter])
    joined.check()
    n = len(contexts)
    assert len(joined) == n + 2 and joined.steps == 3 and set(joined.observations) == {"ego", "bev"}
    np.testing.assert_array_equal(joined.ego[:n], contexts.ego[:, -3:])
    for i in range(2):
        np.testing.assert_array_equal(joined.replay_actions(n + i), contexts.replay_actions(i))
        np.testing.assert_array_equal(joined.replay_actions(i), contexts.replay_actions(i))
