"""Frozen models on disk: `model.safetensors`, `config.json`, `contexts.npz` and `card.md` in one folder, no pickle.

A folder is checked completely before any weight is used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from learned_sim_env.files import replacing_folder, write_json, write_text
from learned_sim_env.resources import as_path, checkpoints_dir
from learned_sim_env.spec import CONTRACTS, Contract, Fingerprints, unknown
from learned_sim_env.version import __version__
from learned_sim_env.world_model.card import card
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.hub import SCHEME, HubId
from learned_sim_env.world_model.protocol import WorldModel
from learned_sim_env.world_model.registry import ARCHITECTURES, architecture, architecture_of, config_dict
from learned_sim_env.world_model.torch_state import making

SCHEMA_VERSION = 3
_KEYS = (
    "schema_version",
    "package_version",
    "architecture",
    "model",
    "observes",
    "draws",
    "context_steps",
    "latent",
    "contract",
    "uncertainty_bound",
    "training",
    "files",
)
# Version 2 lacks these keys: all its models observe the view from above and the ego.
_SINCE_3: dict[str, Any] = {"observes": ["bev", "ego"], "draws": ["bev", "route"], "context_steps": 5, "latent": None}
_FILES = ("model.safetensors", "contexts.npz")
CONFIG = "config.json"
# All that is downloaded.
PARTS = (CONFIG, *_FILES, "card.md")


@dataclass
class Checkpoint:
    """A frozen model and what belongs to it.

    model: a `protocol.WorldModel`, frozen. fingerprint: SHA-256 of the model file. uncertainty_bound: where
    environments truncate by default.
    training: what it was trained on and how, as in the card.
    """

    name: str
    # Not told in messages, which would be pages long.
    model: Any = field(repr=False)
    contexts: Contexts = field(repr=False)
    contract: Contract = field(repr=False)
    fingerprint: str
    uncertainty_bound: float
    training: dict[str, Any] = field(repr=False)


def save_pretrained(
    path: Path | str,
    model: Any,
    contexts: Contexts,
    uncertainty_bound: float,
    training: dict[str, Any],
) -> Path:
    """Write a checkpoint folder, atomically; an existing one is replaced.

    Args:
        model: a `protocol.WorldModel` that is an `nn.Module` of a registered architecture.
        contexts: with all modalities that the model observes.
        uncertainty_bound, training: see `Checkpoint`.

    Raises:
        ValueError: if the contexts do not have what the model observes, or its architecture is not registered.
    """
    path, contract = Path(path), model.contract
    contexts.check_fit(contract, model.observes, model.context_steps)
    with replacing_folder(path) as folder:
        folder.mkdir()
        # Some architectures say how their weights are kept, such as in half precision.
        weights = model.stored_weights() if hasattr(model, "stored_weights") else model.state_dict()
        save_file({name: value.contiguous().cpu() for name, value in weights.items()}, folder / _FILES[0])
        contexts.save(folder / _FILES[1])
        write_text(folder / "card.md", card(path.name, model.about, training))
        config = {
            "schema_version": SCHEMA_VERSION,
            "package_version": __version__,
            "architecture": architecture_of(model),
            "model": config_dict(model),
            "observes": list(model.observes),
            "draws": list(model.draws),
            "context_steps": model.context_steps,
            "latent": model.latent_size,
            "contract": {"name": contract.name, **contract.fingerprints(_names(model)).to_dict()},
            "uncertainty_bound": uncertainty_bound,
            "training": training,
            "files": {name: _sha256(folder / name) for name in _FILES},
        }
        write_json(folder / CONFIG, config)
    return path


def from_pretrained(name_or_path: str | Path, device: str = "cpu", contract: Contract | None = None) -> Checkpoint:
    """Load a checkpoint, frozen and in evaluation mode.

    Args:
        name_or_path: the name of one that ships ("bev-rssm"); the path of a folder, which has a separator or starts
            with "." ("./mine"); or one on the hub, which is downloaded ("hf://owner/name", "hf://owner/name@revision").
        device: where to put the model.
        contract: what the environment needs; by default the one the checkpoint names.

    Raises:
        FileNotFoundError: if there is no such checkpoint, or a file of it is missing.
        ConnectionError: if it would have to be downloaded, and cannot be.
        ValueError: if a file does not have its hash, a key or tensor is unknown or missing, the schema is another, or
            the checkpoint was trained for another contract.
    """
    folder = find(name_or_path)
    config = read_config(folder)
    declared = config["contract"]
    if contract is None:
        if declared["name"] not in CONTRACTS:
            raise unknown(f"contract of checkpoint {folder.name}", declared["name"], CONTRACTS)
        contract = CONTRACTS[declared["name"]]
    made_for = Fingerprints.parse(declared.get("fingerprint", declared))
    # The single fingerprint of older checkpoints stands for two modalities only.
    names = None if "fingerprint" in declared else sorted({*config["observes"], *config["draws"]})
    contract.check(f"checkpoint {folder.name}", made_for, names)
    for name in _FILES:
        if _sha256(folder / name) != config["files"].get(name):
            raise ValueError(
                f"{folder / name} does not have the hash that config.json gives: the file is damaged, get it again"
            )
    with making():
        model = _loaded(folder, config, contract).to(device)
    contexts = Contexts.load(folder / _FILES[1])
    contexts.check_fit(contract, model.observes, model.context_steps)
    return Checkpoint(
        # The folder of a checkpoint from the hub is named after its commit.
        name=str(_hub_id(name_or_path) or folder.name),
        model=model,
        contexts=contexts,
        contract=contract,
        fingerprint=config["files"][_FILES[0]],
        uncertainty_bound=float(config["uncertainty_bound"]),
        training=config["training"],
    )


def _loaded(folder: Path, config: dict[str, Any], contract: Contract) -> Any:
    """The model with a folder's weights, frozen."""
    found = architecture(config["architecture"])
    model = found.build(found.config(config["model"]), contract)
    for name in ("observes", "draws", "context_steps", "latent"):
        is_, declared = getattr(model, "latent_size" if name == "latent" else name), config[name]
        if declared is not None and is_ != (tuple(declared) if isinstance(declared, list) else declared):
            raise ValueError(f"{folder / CONFIG} says {name} {declared!r}, but the model has {is_!r}")
    tensors, expected = load_file(folder / _FILES[0]), model.state_dict()
    for name, value in expected.items():
        if name not in tensors:
            raise ValueError(f"{folder / _FILES[0]} lacks the tensor {name!r}")
        if tensors[name].shape != value.shape:
            raise ValueError(
                f"tensor {name!r} of {folder.name} is {tuple(tensors[name].shape)}, expected {tuple(value.shape)}"
            )
    for name in tensors:
        if name not in expected:
            raise unknown(f"tensor in {folder / _FILES[0]}:", name, expected)
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


def check_contract(checkpoint: Checkpoint, contract: Contract) -> None:
    """`ValueError` if a checkpoint's task or modalities are not those of an environment's contract."""
    names = _names(checkpoint.model)
    contract.check(f"checkpoint {checkpoint.name}", checkpoint.contract.fingerprints(names))


def _names(model: WorldModel) -> list[str]:
    """The modalities that a model observes or draws."""
    return sorted({*model.observes, *model.draws})


def find(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint, see `from_pretrained`; that of one on the hub is downloaded."""
    if (hub_id := _hub_id(name_or_path)) is not None:
        folder = hub_id.download(PARTS)
        if not (folder / CONFIG).is_file():
            raise FileNotFoundError(f"{hub_id} is not a checkpoint: it has no {CONFIG}")
        return folder
    if (found := locate(name_or_path)) is not None:
        return found
    path = as_path(name_or_path)
    if path is None:
        names = sorted(p.parent.name for p in checkpoints_dir().glob(f"*/{CONFIG}"))
        here = f" (./{name_or_path} is one)" if Path(name_or_path, CONFIG).is_file() else ""
        raise FileNotFoundError(
            f"{unknown('checkpoint', name_or_path, names)}, the path of a folder{here}, or {SCHEME}OWNER/NAME"
        )
    if path.is_dir():
        raise FileNotFoundError(f"{path} is not a checkpoint: it has no {CONFIG}")
    hint = f"; for one on the hub, give {SCHEME}{name_or_path}" if str(name_or_path).count("/") == 1 else ""
    raise FileNotFoundError(f"there is no folder {path}{hint}")


def locate(name_or_path: str | Path) -> Path | None:
    """The folder of a checkpoint that is on this machine; None if there is none, or on the hub alone."""
    if (hub_id := _hub_id(name_or_path)) is not None:
        return hub_id.cached((CONFIG, *_FILES))
    folder = as_path(name_or_path) or checkpoints_dir() / name_or_path
    return folder if (folder / CONFIG).is_file() else None


def _hub_id(name_or_path: str | Path) -> HubId | None:
    return HubId.parse(name_or_path) if isinstance(name_or_path, str) else None


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's `config.json`, checked to be of this schema and complete."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / CONFIG} is not JSON: {error}") from error
    if config.get("schema_version") == 2:
        config = {**config, **_SINCE_3, "schema_version": SCHEMA_VERSION}
    if config.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"checkpoint {folder.name} has schema version {config.get('schema_version')!r}, this package reads "
            f"{SCHEMA_VERSION}: it was made with version {config.get('package_version')!r} of the package"
        )
    for name in config:
        if name not in _KEYS:
            raise unknown(f"key in {folder / CONFIG}:", name, _KEYS)
    for name in _KEYS:
        if name not in config:
            raise ValueError(f"{folder / CONFIG} lacks the key {name!r}")
    if config["architecture"] not in ARCHITECTURES:
        raise unknown(f"architecture of checkpoint {folder.name}:", config["architecture"], ARCHITECTURES)
    return config


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing from the checkpoint")
    return hashlib.sha256(path.read_bytes()).hexdigest()
