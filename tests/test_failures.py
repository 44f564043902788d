"""What can be mended is told in a line, a defect with its traceback."""

from __future__ import annotations

import pickle

import pytest

from learned_sim_env.failures import MENDABLE, Failure, WorkerError
from learned_sim_env.scene import SimulatorError


def failure_of(error: BaseException) -> Failure:
    """As another process would tell it."""
    try:
        raise error
    except type(error) as raised:
        return pickle.loads(pickle.dumps(Failure.of(raised)))


@pytest.mark.parametrize("error", [ValueError("wrong\n  value"), SimulatorError("wrong value"), OSError("wrong value")])
def test_what_can_be_mended_is_one_line(error: Exception) -> None:
    found = failure_of(error)
    assert (found.reason, str(found)) == ("wrong value", "wrong value")
    assert str(found.error("it cannot start")) == "it cannot start: wrong value"
    assert isinstance(found.error(""), MENDABLE) and "failure_of" in found.details


def test_a_message_that_is_empty_is_the_name_of_the_error() -> None:
    assert failure_of(ValueError()).reason == "ValueError"


def test_a_defect_is_told_with_its_traceback() -> None:
    found = failure_of(KeyError("speed"))
    assert found.reason == "KeyError: 'speed'"
    assert "failure_of" in str(found) and str(found).rstrip().endswith(found.reason)
    told = found.error("it cannot start")
    assert str(told).startswith("it cannot start:\nTraceback") and not isinstance(told, MENDABLE)


def test_the_death_of_a_process_is_no_defect() -> None:
    assert isinstance(Failure("its worker process died").error("8 in a row"), WorkerError)
