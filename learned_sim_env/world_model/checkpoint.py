"""Frozen models on disk: `model.safetensors`, `config.json`, `contexts.npz` and `card.md` in one folder, no pickle.

Everything that could be wrong with a folder is found before any weight is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.spec import CONTRACTS, Contract, unknown
from learned_sim_env.version import __version__
from learned_sim_env.world_model.card import card
from learned_sim_env.world_model.config import RSSMConfig
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.own_state import making
from learned_sim_env.world_model.rssm import DrivingRSSM

SCHEMA_VERSION = 2
_KEYS = (
    "schema_version",
    "package_version",
    "architecture",
    "model",
    "contract",
    "uncertainty_bound",
    "training",
    "files",
)
_FILES = ("model.safetensors", "contexts.npz")


@dataclass
class Checkpoint:
    """A frozen model and what belongs to it.

    fingerprint: SHA-256 of the model file. uncertainty_bound: where environments truncate by default.
    training: what it was trained on and how, as in the card.
    """

    name: str
    model: DrivingRSSM
    contexts: Contexts
    contract: Contract
    fingerprint: str
    uncertainty_bound: float
    training: dict[str, Any]


def save_pretrained(
    path: Path | str,
    model: DrivingRSSM,
    contexts: Contexts,
    uncertainty_bound: float,
    training: dict[str, Any],
) -> Path:
    """Write a checkpoint folder; it appears whole or not at all, in place of one that was there."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file({name: value.contiguous().cpu() for name, value in model.state_dict().items()}, temporary / _FILES[0])
    contexts.save(temporary / _FILES[1])
    (temporary / "card.md").write_text(card(path.name, training))
    config = {
        "schema_version": SCHEMA_VERSION,
        "package_version": __version__,
        "architecture": "rssm",
        "model": asdict(model.config),
        "contract": {"name": model.contract.name, "fingerprint": model.contract.fingerprint()},
        "uncertainty_bound": uncertainty_bound,
        "training": training,
        "files": {name: _sha256(temporary / name) for name in _FILES},
    }
    (temporary / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        os.replace(path, old)
    os.replace(temporary, path)
    shutil.rmtree(old, ignore_errors=True)
    return path


def from_pretrained(name_or_path: str | Path, device: str = "cpu", contract: Contract | None = None) -> Checkpoint:
    """Load a checkpoint, frozen and in evaluation mode.

    Args:
        name_or_path: the name of one that ships ("bev-rssm"), a folder, or a hub id "owner/name", which is downloaded.
        device: where to put the model.
        contract: what the environment needs; by default the one the checkpoint names.

    Raises:
        FileNotFoundError: if there is no such checkpoint, or a file of it is missing.
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
    if declared["fingerprint"] != contract.fingerprint():
        raise ValueError(
            f"checkpoint {folder.name} was trained for another contract ({declared['name']!r}, "
            f"{declared['fingerprint'][:12]}) than the environment's ({contract.name!r}, "
            f"{contract.fingerprint()[:12]}): train one for this contract, or use the version of the package it was "
            "made with"
        )
    for name in _FILES:
        if _sha256(folder / name) != config["files"].get(name):
            raise ValueError(
                f"{folder / name} does not have the hash that config.json gives: the file is damaged, get it again"
            )
    with making():
        model = _loaded(folder, RSSMConfig.from_dict(config["model"]), contract).to(device)
    return Checkpoint(
        name=folder.name,
        model=model,
        contexts=Contexts.load(folder / _FILES[1]),
        contract=contract,
        fingerprint=config["files"][_FILES[0]],
        uncertainty_bound=float(config["uncertainty_bound"]),
        training=config["training"],
    )


def _loaded(folder: Path, config: RSSMConfig, contract: Contract) -> DrivingRSSM:
    """The model with a folder's weights, frozen."""
    model = DrivingRSSM(config, contract)
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


def find(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint, see `from_pretrained`."""
    path = Path(name_or_path)
    if (path / "config.json").is_file():
        return path
    shipped = checkpoints_dir() / str(name_or_path)
    if (shipped / "config.json").is_file():
        return shipped
    text = str(name_or_path)
    if path.is_dir():
        raise FileNotFoundError(f"{path} is not a checkpoint: it has no config.json")
    if text.count("/") == 1 and not text.startswith((".", "/", "~")) and not path.parent.is_dir():
        from learned_sim_env.optional import require

        hub = require("huggingface_hub", extra="hub")
        return Path(hub.snapshot_download(text, allow_patterns=[*_FILES, "config.json", "card.md"]))
    names = sorted(p.parent.name for p in checkpoints_dir().glob("*/config.json"))
    raise FileNotFoundError(str(unknown("checkpoint", text, names)) + ", or the path of a checkpoint folder")


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's `config.json`, checked to be of this schema and complete."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{folder / 'config.json'} is not JSON: {error}") from error
    if config.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"checkpoint {folder.name} has schema version {config.get('schema_version')!r}, this package reads "
            f"{SCHEMA_VERSION}: it was made with version {config.get('package_version')!r} of the package"
        )
    for name in config:
        if name not in _KEYS:
            raise unknown(f"key in {folder / 'config.json'}:", name, _KEYS)
    for name in _KEYS:
        if name not in config:
            raise ValueError(f"{folder / 'config.json'} lacks the key {name!r}")
    if config["architecture"] != "rssm":
        raise unknown("architecture", config["architecture"], ("rssm",))
    return config


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing from the checkpoint")
    return hashlib.sha256(path.read_bytes()).hexdigest()
