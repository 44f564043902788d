"""Where the dreams of a checkpoint start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.training.export import export
from learned_sim_env.training.export.export import choose_contexts
from tests.toy_model import ToyModel

MODEL = ToyModel()


def test_some_contexts_are_the_beginnings_of_episodes(packed):
    contexts = choose_contexts(packed, 8, MODEL)
    steps = np.diff(contexts.replay_starts)
    # Two episodes are for validation, and each has one beginning.
    assert (steps == MODEL.context_steps - 1).sum() == 2 == round(export.BEGINNINGS * 8)
    assert (steps[steps >= MODEL.context_steps] >= 10 + MODEL.context_steps).all()
    assert set(contexts.scenarios) == {9, 19}


def test_too_few_moments(packed):
    with pytest.raises(ValueError, match="100 asked for: collect more"):
        choose_contexts(packed, 100, MODEL)


def test_every_tag_is_there_if_there_can_be(packed):
    tags = packed.arrays["tags"].copy()
    tags[:, 0] = False
    without = replace(packed, arrays={**packed.arrays, "tags": tags})
    with pytest.raises(ValueError, match=f"has the tags {SCENARIO_TAGS[0]}: collect more"):
        choose_contexts(without, len(SCENARIO_TAGS), MODEL)
    assert len(choose_contexts(without, len(SCENARIO_TAGS) - 1, MODEL)) == len(SCENARIO_TAGS) - 1


def test_no_moment_at_all(packed, monkeypatch):
    monkeypatch.setattr(export, "_drivable", lambda *_: False)
    with pytest.raises(ValueError, match="only 0 moments"):
        choose_contexts(packed, 1, MODEL)
