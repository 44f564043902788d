"""A run as JUnit XML, which every build server shows."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np

from learned_sim_env.files import write_text
from learned_sim_env.harness.regression.run import Run, means
from learned_sim_env.harness.regression.verdict import Verdict


def write_junit(path: Path, run: Run, baseline: Run | None, verdict: Verdict) -> None:
    """Write a suite of the verdict, and one for every world with a case a scenario.

    A scenario fails where the baseline handled it in more of its drives than the run; one that neither handles, or that
    is not handled and has no baseline, is skipped: it tells about the policy, and nothing about this change of it.
    """
    root = xml.Element("testsuites")
    suite = _suite(root, "verdict")
    for change in verdict.changes:
        case = xml.SubElement(suite, "testcase", classname="verdict", name=f"{change.world} {change.metric}")
        if change.regressed:
            xml.SubElement(case, "failure", message=change.sentence())
    for reason in verdict.broken:
        xml.SubElement(xml.SubElement(suite, "testcase", classname="verdict", name=reason), "failure", message=reason)
    for name, world in run.worlds.items():
        suite, success = _suite(root, name), means(world.values["success"])
        for i, scenario in enumerate(run.scenarios):
            case = xml.SubElement(suite, "testcase", classname=f"{name}.{scenario.name}", name=scenario.name)
            said = f"expected: {scenario.expected}; ended by {', '.join(sorted(set(world.ends[i].tolist())))}"
            errors = [e for e in world.errors[i].tolist() if e]
            before = _before(baseline, name, scenario.name)
            now = float(success[i])
            if errors:
                xml.SubElement(case, "error", message="the drive failed to run").text = errors[0]
            elif now < before:
                xml.SubElement(case, "failure", message=f"{said}; as expected in {now:.0%}, before in {before:.0%}")
            elif np.isnan(now):
                xml.SubElement(case, "skipped", message=f"{said}; whether as expected is not known")
            elif now < 1:
                xml.SubElement(case, "skipped", message=f"{said}; as expected in {now:.0%} of its drives")
    for suite in root:
        cases = list(suite)
        suite.set("tests", str(len(cases)))
        for kind, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(plural, str(sum(case.find(kind) is not None for case in cases)))
    xml.indent(root)
    write_text(path, '<?xml version="1.0" encoding="utf-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n")


def _suite(root: xml.Element, name: str) -> xml.Element:
    return xml.SubElement(root, "testsuite", name=name)


def _before(baseline: Run | None, world: str, scenario: str) -> float:
    """Share of the baseline's drives of a scenario that went as expected, NaN if that is not known of any."""
    if baseline is None or world not in baseline.worlds:
        return np.nan
    for i, other in enumerate(baseline.scenarios):
        if other.name == scenario:
            return float(means(baseline.worlds[world].values["success"])[i])
    return np.nan
