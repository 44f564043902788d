"""The architectures: a name in a checkpoint's `config.json` -> the class of the model, imported when needed.

A new one is a new line here; see the page "Add your own world model" in the docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib import import_module
from typing import Any

from torch import nn

from learned_sim_env.spec import Contract, unknown

# Name -> module:class of an `nn.Module` that is a `protocol.WorldModel`, and beside that has `about`, a sentence for
# cards; `config_class`, a dataclass; and `sizes`, configurations by the names in `MODELS`.
ARCHITECTURES = {
    "camera": "learned_sim_env.world_model.rssm.camera.model:CameraWorldModel",
    "rssm": "learned_sim_env.world_model.rssm.model:DrivingRSSM",
    "lstm": "learned_sim_env.world_model.lstm:DrivingLSTM",
    "transformer": "learned_sim_env.world_model.transformer.model:DrivingTransformer",
}
# What `learned-sim train --model` offers -> its architecture; each module has its sizes in `SIZES`.
MODELS = {
    "rssm-tiny": "rssm",
    "rssm-small": "rssm",
    "rssm-base": "rssm",
    "camera-tiny": "camera",
    "camera-small": "camera",
    "lstm-tiny": "lstm",
    "lstm-small": "lstm",
    "lstm-camera-tiny": "lstm",
    "transformer-tiny": "transformer",
    "transformer-small": "transformer",
}


@dataclass(frozen=True)
class Architecture:
    """model_class: called with a configuration and a contract. config_class: a dataclass, the model's `config`."""

    name: str
    model_class: type[Any]
    config_class: type[Any]
    sizes: Mapping[str, Any]

    def config(self, values: Mapping[str, Any]) -> Any:
        """The configuration in a checkpoint's `config.json`; `ValueError` for a key that does not exist."""
        known = [f.name for f in fields(self.config_class)]
        for name in values:
            if name not in known:
                raise unknown("architecture key", name, known)
        # JSON has no tuples.
        return self.config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def build(self, config: Any, contract: Contract) -> Any:
        """A model, untrained."""
        return self.model_class(config, contract)


def architecture(name: str) -> Architecture:
    """The architecture with that name.

    Raises:
        ValueError: if there is none.
    """
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, ARCHITECTURES)
    module_name, _, class_name = ARCHITECTURES[name].partition(":")
    module = import_module(module_name)
    model_class = getattr(module, class_name)
    return Architecture(name, model_class, model_class.config_class, model_class.sizes)


def architecture_of(model: nn.Module) -> str:
    """The name under which the class of a model is registered; `ValueError` if it is not."""
    path = f"{type(model).__module__}:{type(model).__name__}"
    for name, registered in ARCHITECTURES.items():
        if registered == path:
            return name
    raise ValueError(f"{path} is no registered architecture: name it in `world_model.registry.ARCHITECTURES`")


def config_dict(model: Any) -> dict[str, Any]:
    """A model's configuration as it stands in `config.json`."""
    return asdict(model.config)


def model_of_size(name: str, contract: Contract, **changes: Any) -> Any:
    """An untrained model of one of `MODELS`, its configuration changed; `ValueError` for another name."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    found = architecture(MODELS[name])
    return found.build(replace(found.sizes[name], **changes), contract)
