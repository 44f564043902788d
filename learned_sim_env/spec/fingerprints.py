"""What a file was made for: SHA-256 of the task and of each modality, so that adding one leaves the others valid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fingerprints:
    """task: of `Contract.task_fingerprint`. modalities: by name, of `Modality.fingerprint`."""

    task: str
    modalities: Mapping[str, str]

    def __str__(self) -> str:
        """In one line, for files that hold text only; `parse` reads it."""
        return ", ".join(f"{name}={value}" for name, value in {"task": self.task, **self.modalities}.items())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `parse` reads it."""
        return {"task": self.task, "modalities": dict(self.modalities)}

    @staticmethod
    def parse(written: Any) -> Fingerprints:
        """What `str` or `to_dict` gave, or the single hash of the first contract, whose parts are still the same.

        Raises:
            ValueError: for anything else.
        """
        if isinstance(written, Mapping) and isinstance(written.get("modalities"), Mapping):
            return Fingerprints(str(written.get("task")), {k: str(v) for k, v in written["modalities"].items()})
        if isinstance(written, str) and written in _EARLIER:
            return _EARLIER[written]
        pairs = dict(re.findall(r"([\w-]+)=([0-9a-f]{64})", written)) if isinstance(written, str) else {}
        if "task" not in pairs:
            raise ValueError(f"{str(written)[:40]!r} is no fingerprint of a contract that this package knows")
        return Fingerprints(pairs.pop("task"), pairs)


# The single hash over everything, as it was written before modalities had their own.
_EARLIER = {
    "ab7955c44586203843d12e0197353327a2abe2f472b902f1d69e86d3b6351c42": Fingerprints(
        "129b5b32759a64a7cf2992e347d805ad7dfca3ab88a719fc845b33e5808f2153",
        {
            "bev": "e06079f01caaf59e981cc4bd0a34b5cf83d324741c5f507fab1b23f84ba5f53e",
            "ego": "d037393ab84335f2cabc1db76299970cf667ccb42567710e0836f7c91891f7b2",
        },
    ),
}
