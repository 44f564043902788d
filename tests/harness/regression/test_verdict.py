"""A verdict is about what got worse beyond chance and limit, names it, and is the same whenever it is asked for."""

from __future__ import annotations

import json
from xml.etree import ElementTree as xml

import numpy as np
import pytest

from learned_sim_env.harness.engine.suite import Suite, SuiteScenario
from learned_sim_env.harness.regression.junit import write_junit
from learned_sim_env.harness.regression.metrics import METRICS
from learned_sim_env.harness.regression.regression_page import (
    agreement_part,
    coverage_part,
    kinds_of_change,
    summary_part,
    verdict_part,
)
from learned_sim_env.harness.regression.run import Run, WorldResults, about
from learned_sim_env.harness.regression.verdict import judge

COUNT = 40
SCENARIOS = tuple(SuiteScenario(f"s{i:02d}", ("a" if i % 2 else "b",), i, i, 10, "safe") for i in range(COUNT))
SUITE = Suite("drawn", SCENARIOS, None, np.zeros((COUNT, 10, 3)), np.full(COUNT, 10), {}, "f" * 64)  # type: ignore[arg-type]
LIMITS = {"collision": 0.05, "progress": 2.0}


def run(collided: int = 4, progress: float = 50.0, model: str = "m", failed: int = 0, worlds=("dream", "twin")) -> Run:
    """The first `collided` scenarios collide."""
    found = {}
    for world in worlds:
        chances = 3 if world == "dream" else 1
        values = {name: np.zeros((COUNT, chances)) for name in METRICS}
        values["collision"][:collided] = 1
        values["success"] = 1 - values["collision"]
        values["progress"] = progress + np.random.default_rng(0).normal(size=(COUNT, chances))
        errors = np.full((COUNT, chances), "", dtype="<U9")
        errors[:failed] = "it failed"
        for value in values.values():
            value[:failed] = np.nan
        ends = np.where(values["collision"] > 0, "collision", "horizon")
        found[world] = WorldResults(world, values, ends, errors)
    return Run(about("p", (), SUITE, model), SCENARIOS, found)


def test_the_same_run_passes_against_itself():
    verdict = judge(run(), run(), LIMITS, {})
    assert verdict.passed and not verdict.reasons and len(verdict.changes) == 4


def test_what_got_worse_is_named_with_its_worst_scenarios():
    verdict = judge(run(collided=14), run(), LIMITS, {})
    assert not verdict.passed
    regressed = [(c.world, c.metric) for c in verdict.changes if c.regressed]
    assert regressed == [("dream", "collision"), ("twin", "collision")]
    assert verdict.reasons[0] == "dream: collision rate 0.100 -> 0.350; worst in s04, s05, s06"


def test_better_and_a_little_worse_are_no_regression():
    assert judge(run(collided=0), run(collided=20), LIMITS, {}).passed
    assert judge(run(collided=5), run(collided=4), LIMITS, {}).passed, "0.025 is within the limit"
    assert not judge(run(progress=47), run(progress=50), LIMITS, {}).passed
    assert judge(run(progress=53), run(progress=50), LIMITS, {}).passed


def test_a_large_difference_in_few_scenarios_may_be_chance():
    some = tuple(f"s{i:02d}" for i in range(4))
    runs = []
    for collided in (1, 0):
        whole = run(collided=collided, worlds=("twin",))
        values = {name: value[:4] for name, value in whole.worlds["twin"].values.items()}
        world = WorldResults("twin", values, whole.worlds["twin"].ends[:4], whole.worlds["twin"].errors[:4])
        runs.append(Run(whole.about, SCENARIOS[:4], {"twin": world}))
    (change,) = judge(runs[0], runs[1], {"collision": 0.05}, {}).changes
    assert change.worse.value == pytest.approx(0.25) and change.worse.low <= 0 and not change.regressed
    assert change.scenarios == some[:1]


def test_bounds_and_failed_drives_break_a_run_without_a_baseline():
    assert judge(run(), None, {}, {"collision": 0.2, "success": 0.8}).passed
    broken = judge(run(), None, {}, {"collision": 0.05})
    assert broken.reasons == [f"{w}: collision rate is 0.100, more than 0.05" for w in ("dream", "twin")]
    assert judge(run(failed=2), None, {}, {}).reasons[0] == (
        "dream: 6 of 120 drives failed to run, such as s00: it failed"
    )
    with pytest.raises(ValueError, match="Did you mean 'collision'"):
        judge(run(), None, {}, {"colision": 0.1})


def test_what_nobody_can_tell_any_more_does_not_pass():
    now, alike = run(), run()
    for verdict in (judge(now, alike, LIMITS, {}), judge(now, None, LIMITS, {})):
        assert verdict.passed
    now.worlds["dream"].values["progress"][:] = np.nan
    verdict = judge(now, alike, LIMITS, {})
    assert verdict.reasons == ["dream: progress [m] is known of no scenario any more, so that nothing can be compared"]
    json.dumps(verdict.to_dict(), allow_nan=False)
    alike.worlds["dream"].values["progress"][:] = np.nan
    assert judge(now, alike, LIMITS, {}).passed, "nor could it be told before"


def test_limits_are_numbers():
    for limits, bounds, word in (({"collision": np.nan}, {}, "limit"), ({}, {"collision": np.nan}, "bound")):
        with pytest.raises(ValueError, match=f"the {word} of collision is nan"):
            judge(run(), run(), limits, bounds)
        with pytest.raises(ValueError, match=f"metric with a {word}: 'colision'"):
            judge(run(), run(), *({"colision": 0.1} if numbers else {} for numbers in (limits, bounds)))


def test_other_dreams_and_suites_do_not_compare():
    with pytest.raises(ValueError, match="run the baseline again"):
        judge(run(model="n"), run(), LIMITS, {})
    assert judge(run(model="n", worlds=("twin",)), run(), LIMITS, {}).passed
    other = Suite("drawn", SCENARIOS, None, SUITE.paths, SUITE.path_steps, {}, "0" * 64)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="other scenarios"):
        Run.from_dict(run().to_dict(), other)


def test_a_run_survives_being_written_and_gives_the_same_verdict():
    written = json.dumps(run(collided=14, failed=1).to_dict())
    again = Run.from_dict(json.loads(written), SUITE)
    assert json.dumps(again.to_dict()) == written
    assert judge(again, run(), LIMITS, {}).reasons == judge(run(collided=14, failed=1), run(), LIMITS, {}).reasons


def test_junit_tells_regressions_from_what_was_never_handled(tmp_path):
    now, before = run(collided=14, failed=1), run(collided=4)
    write_junit(tmp_path / "junit.xml", now, before, judge(now, before, LIMITS, {}))
    root = xml.parse(tmp_path / "junit.xml").getroot()
    counts = {s.get("name"): [int(s.get(k)) for k in ("tests", "failures", "errors", "skipped")] for s in root}
    assert counts["twin"] == [40, 10, 1, 3] and counts["dream"] == [40, 10, 1, 3]
    assert counts["verdict"][1] >= 3
    (case,) = [c for c in root[1] if c.get("name") == "s05"]
    assert "as expected in 0%, before in 100%" in case.find("failure").get("message")


def test_parts_say_what_the_numbers_are():
    now, before = run(collided=14), run(collided=4)
    verdict = judge(now, before, LIMITS, {})
    assert verdict_part(verdict).title == "Verdict: not passed"
    assert kinds_of_change(verdict) == [(w, s, "collision") for w in ("dream", "twin") for s in ("s04", "s05")]
    assert summary_part(now).values["dream"]["collision"]["value"] == 0.35
    assert coverage_part(now).values["twin"]["success"] == {"a": 0.65, "b": 0.65}
    assert agreement_part(now).values["collision"] == {"both": 14, "dream_only": 0, "twin_only": 0, "neither": 26}
    assert agreement_part(run(worlds=("dream",))) is None
