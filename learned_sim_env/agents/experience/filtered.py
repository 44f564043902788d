"""What a driver by a world model's features sees in real observations: the features of the model's posterior."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from learned_sim_env.drivers.driver import Observations
from learned_sim_env.imagination.filter import Filter
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.resources import as_path
from learned_sim_env.spec import Fingerprints
from learned_sim_env.world_model.checkpoint import Checkpoint, from_pretrained
from learned_sim_env.world_model.hub import SCHEME

# Metadata of a policy's file: the checkpoint as it was named when the policy was trained, and the SHA-256 of its model.
WORLD_MODEL, FINGERPRINT = "world_model", "world_model_fingerprint"


def world_model_metadata(checkpoint: Checkpoint, name: str) -> dict[str, str]:
    """What the file of a policy on features of `checkpoint`, which is called `name`, says of it.

    A path is kept absolute, so that the file may be used from any folder.
    """
    path = None if name.startswith(SCHEME) else as_path(name)
    return {WORLD_MODEL: name if path is None else str(path.resolve()), FINGERPRINT: checkpoint.fingerprint}


def world_model_of(path: Path, metadata: Mapping[str, str]) -> Checkpoint:
    """The checkpoint whose features the policy in `path` takes.

    It is searched for under the name that it had when the policy was trained, then beside the policy's file.

    Raises:
        FileNotFoundError: if it is at neither place.
        ValueError: if what is there is another model, or the policy is for another contract.
    """
    name, wanted = metadata[WORLD_MODEL], metadata[FINGERPRINT]
    beside = path.parent / Path(name).name
    try:
        found = _opened(name)
    except FileNotFoundError:
        if not beside.is_dir():
            raise FileNotFoundError(
                f"{path} drives by the world model {name}, which is not there: put its folder to {beside}"
            ) from None
        found = _opened(str(beside.resolve()))
    if found.fingerprint != wanted:
        raise ValueError(
            f"{path} drives by features of world model {name} {wanted[:12]}, but that is now {found.fingerprint[:12]}: "
            "train the policy anew, or bring back the model it was trained with"
        )
    found.contract.check(str(path), Fingerprints.parse(metadata.get("contract")), found.model.observes)
    return found


# Drivers are opened for every episode, and all of them may share a frozen model.
@lru_cache(maxsize=2)
def _opened(name: str) -> Checkpoint:
    return from_pretrained(name)


class FilteredRows:
    """Features of n rows that advance together, each filtered by itself, so that no row depends on the others.

    Args:
        checkpoint: of the world model.
        num_rows: n.
    """

    def __init__(self, checkpoint: Checkpoint, num_rows: int):
        self.observes = tuple(checkpoint.model.observes)
        contract = checkpoint.contract
        self._classes = {name for name in self.observes if contract.modality(name).kind == "classes"}
        self.filters = [Filter(checkpoint) for _ in range(num_rows)]

    def update(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """(n, latent_size) float32 after one more observation of every row.

        Args:
            observations: of all modalities in `observes`, as a `Driver` is given them.
            began: (n,) bool, rows whose episode begins with this observation.
        """
        seen = {name: self._ids(name, observations[name]) for name in self.observes}
        features = []
        for i, row in enumerate(self.filters):
            now = {name: values[i] for name, values in seen.items()}
            # The action that led here is part of what is observed, whatever has been done to the driver's own.
            features.append(row.begin(now) if began[i] else row.go_on(now, now["ego"][2:4]))
        return np.stack(features)

    def _ids(self, name: str, values: np.ndarray) -> np.ndarray:
        return classes_of(values) if name in self._classes and values.ndim == 4 else values
