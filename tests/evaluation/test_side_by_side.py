"""Several measurements at a time."""

from __future__ import annotations

import pytest

from learned_sim_env.evaluation.side_by_side import side_by_side


def measure(name: str):
    """What a function within it gives, or an error."""
    if name == "bad":
        raise ValueError(f"{name} cannot be measured")
    return lambda: 2 * name


@pytest.mark.slow
def test_one_that_fails_does_not_keep_the_others_from_being_measured() -> None:
    found = {}
    with pytest.raises(ValueError, match="bad cannot be measured"):
        for name, result in side_by_side(measure, ["bad", "a", "b"], 2):
            found[name] = result()
    assert found == {"a": "aa", "b": "bb"}
