"""A missing optional package gives one error that names the remedy."""

from __future__ import annotations

import json
import sys

import pytest

from learned_sim_env.optional import LAST_PYTHON, require


def test_returns_the_module():
    assert require("json", extra="viewer") is json


@pytest.mark.parametrize("module", ["not_a_package", "not_a_package.inner"])
def test_missing_module_names_the_extra(module):
    with pytest.raises(ImportError, match=r'pip install "learned-sim-env\[viewer\]"'):
        require(module, extra="viewer")


@pytest.mark.parametrize("extra", LAST_PYTHON)
def test_extra_that_this_python_cannot_have(extra, monkeypatch):
    last = LAST_PYTHON[extra]
    monkeypatch.setattr(sys, "version_info", (last[0], last[1] + 1, 0, "final", 0))
    with pytest.raises(ImportError, match=rf"up to Python {last[0]}\.{last[1]}, and this is Python 3\.{last[1] + 1}"):
        require("not_a_package", extra=extra)


def test_error_inside_an_installed_module_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import its_missing_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="its_missing_dependency"):
        require("half_installed", extra="viewer")
