"""Pickles give plain values and arrays, and run nothing."""

from __future__ import annotations

import collections
import pickle
import struct

import numpy as np
import pytest

from learned_sim_env.recordings.unpickling import Placeholder, UnpicklingRefused, load_pickle, loads


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_and_arrays(protocol):
    value = {
        "numbers": [1, 2.5, True, None, -(2**40)],
        "text": "ä",
        "bytes": b"\0\xff",
        "set": {1, 2},
        "default": collections.defaultdict(int, a=1),
        "ordered": collections.OrderedDict(b=2),
        "array": np.arange(6, dtype=">f4").reshape(2, 3),
        "flags": np.array([True, False]),
        "words": np.array(["a", "bc"]),
        "objects": np.array([{"x": 1}, None], object),
        "scalar": np.float32(1.5),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    found = loads(pickle.dumps(value, protocol=protocol))
    assert found.keys() == value.keys()
    for name in ("numbers", "text", "bytes", "set", "default", "ordered", "scalar"):
        assert found[name] == value[name], name
    for name in ("array", "flags", "words", "objects", "fortran"):
        assert np.array_equal(found[name], value[name]), name


class Evil:
    def __init__(self, call, *arguments):
        self.call = call, arguments

    def __reduce__(self):
        return self.call


def hostile() -> dict[str, bytes]:
    import os
    import subprocess

    return {
        "system": pickle.dumps(Evil(os.system, "touch hacked")),
        "eval": pickle.dumps(Evil(eval, "open('hacked', 'w')")),
        "popen": pickle.dumps(Evil(subprocess.Popen, ["touch", "hacked"])),
        "getattr": pickle.dumps(Evil(getattr, 1, "real")),
        "load": pickle.dumps(Evil(np.load, "x")),
        "inner names": b"cnumpy\nndarray.tofile\n.",
        "a module of numpy's": b"cnumpy.testing._private.utils\nrunstring\n.",
        # A state for a function, which would change it for all.
        "state": b"cnumpy.core.multiarray\n_reconstruct\n}(X\x01\x00\x00\x00aK\x01ub.",
        "class state": b"cnumpy\nndarray\n}(X\x01\x00\x00\x00aK\x01ub.",
        "persistent": b"Pwhatever\n.",
        "extension": b"\x80\x02\x82\x01.",
        # What makes the reader in C ask for 64 GB.
        "memo": b"\x80\x02Nr\xff\xff\xff\xff0Nr\xfe\xff\xff\xff0",
        "length": b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"x.",
        "array of records": pickle.dumps(np.zeros(2, [("a", "f4"), ("b", "O")])),
        "dates": pickle.dumps(np.array(["2020-01-01"], "M8[D]")),
        "too few bytes": pickle.dumps(np.zeros(1000)).replace(b"M\xe8\x03", b"M\xff\x7f"),
        "nothing": b"",
        "text": b"hello",
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnpicklingRefused):
        loads(hostile()[name])
    assert not list(tmp_path.iterdir())


def test_says_what_it_was_asked_for(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(hostile()["system"])
    with pytest.raises(UnpicklingRefused, match=r"it names (posix|nt)\.system: only plain values"):
        load_pickle(path)


def test_objects_of_the_writers_script_are_placeholders():
    found = loads(b"c__main__\nAgentType\n(K\x01tR}X\x01\x00\x00\x00aK\x02sb.")
    assert isinstance(found, Placeholder)
    assert type(found).__name__ == "AgentType"
    assert found.arguments == (1,) and found.state == {"a": 2}
