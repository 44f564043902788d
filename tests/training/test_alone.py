"""Training a part of a model by itself, and going on with it."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from learned_sim_env.training import alone, progress
from learned_sim_env.training.progress import Progress

# Of a line of a log.
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"


def trained(folder=None, stop: int | None = None) -> tuple[nn.Module, list[int]]:
    """A small network after 12 steps, and those steps that were done; ended before step `stop`."""
    torch.manual_seed(0)
    module, done = nn.Linear(3, 1), []

    def loss(step: int) -> Tensor:
        if step == stop:
            raise InterruptedError
        done.append(step)
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return (module(x) - x.sum(-1, keepdim=True)).square().mean()

    alone.train_alone(module, loss, 12, 0.1, "sums", folder)
    return module, done


def test_what_was_ended_goes_on_exactly(tmp_path, monkeypatch):
    monkeypatch.setattr(alone, "KEPT_EVERY", 0.0)
    whole, _ = trained()
    with pytest.raises(InterruptedError):
        trained(tmp_path, stop=7)
    resumed, done = trained(tmp_path)
    assert done == list(range(7, 12)) and len(list(tmp_path.iterdir())) == 1
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values()))
    # What is finished is not done again; something else is.
    again, done = trained(tmp_path)
    assert not done and all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters()))
    module = nn.Linear(3, 1)
    alone.train_alone(module, lambda step: module.weight.square().sum(), 2, 0.1, "sums", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("best", [0, 4, 6, 12])
def test_the_weights_of_the_best_check_are_kept(best, tmp_path, monkeypatch):
    """Those from the start among them; also if training was ended after that, and went on."""
    monkeypatch.setattr(alone, "KEPT_EVERY", 0.0)
    monkeypatch.setattr(alone, "CHECKED_EVERY", 2)
    true = torch.ones(3) * 7
    module, steps = nn.Linear(3, 1), []

    def run(stop: int | None) -> None:
        torch.manual_seed(0)
        module.load_state_dict(nn.Linear(3, 1).state_dict())

        def loss(step: int) -> Tensor:
            if step == stop:
                raise InterruptedError
            steps.append(step)
            return (module.weight[0] - true).square().mean()

        def check() -> float:
            seen[len(steps)] = module.weight.detach().clone()
            return abs(len(steps) - best) + 1.0

        alone.train_alone(module, loss, 12, 0.1, "checked", tmp_path, check)

    seen: dict[int, Tensor] = {}
    with pytest.raises(InterruptedError):
        run(9)
    run(None)
    assert list(seen) == [0, 2, 4, 6, 8, 10, 12] and steps == list(range(12))
    assert torch.equal(module.weight, seen[best]) and not torch.equal(seen[0], seen[12])


def test_a_log_has_lines_with_the_time_of_day(capsys):
    bar = Progress(40, 1000)
    for _ in range(5):
        bar.advance()
    assert bar.news(45, {"loss": 0.25}) > 0
    Progress(0, 10, said=False).news(1, {"loss": 1.0})
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(TIME + r" step 45 of 1,000, \S+ step/s, \d+ s left, loss 0\.25", line), line


def test_a_log_has_a_line_a_minute_that_says_how_long_the_rest_takes(capsys, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    bar = Progress(0, 60)
    for _ in range(7):
        now += 25.0
        bar.advance()
    bar.news(8, {})
    first, second, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(TIME + r" step 3 of 60, 0\.04 step/s, 24 minutes left", first), first
    assert re.fullmatch(TIME + r" step 6 of 60, 0\.04 step/s, 22 minutes left", second), second
    assert re.fullmatch(TIME + r" step 8 of 60, 0\.08 step/s, 11 minutes left", last), last
    assert [progress.duration(s) for s in (5, 119, 7000, 9000)] == ["5 s", "119 s", "117 minutes", "2.5 hours"]
