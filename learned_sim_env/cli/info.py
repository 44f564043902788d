"""`learned-sim info`: what is installed, which environments exist and whether they can run."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from learned_sim_env.drivers.network import SHIPPED, shipped_policies
from learned_sim_env.registration import BACKENDS, EnvDeclaration, look
from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.version import __version__
from learned_sim_env.world_model.hub import SCHEME

# Distributions of the base install ("") and of each extra.
PACKAGES = {
    "": ("gymnasium", "numpy", "safetensors", "torch", "tqdm", "tyro"),
    "metadrive": ("metadrive-simulator",),
    "carla": ("carla", "msgpack", "networkx", "opencv-python", "opencv-python-headless"),
    "recordings": ("opencv-python", "opencv-python-headless", "protobuf", "pyarrow", "rosbags"),
    "viewer": ("imageio", "imageio-ffmpeg", "pillow", "pygame", "pygame-ce"),
    "rl": ("stable-baselines3",),
    "rl-all": ("array-api-compat", "d3rlpy", "ray", "skrl", "stable-baselines3", "tianshou", "torchrl"),
    "ray": ("ray",),
    "hub": ("huggingface_hub",),
    "train": ("h5py", "matplotlib", "minari", "pillow", "tensorboard"),
}


@dataclass(frozen=True)
class InfoArgs:
    """Show what is installed, which environments exist and whether they can run."""

    json: bool = False
    """Print JSON instead of text."""


def run(args: InfoArgs) -> None:
    """Print the report."""
    report = collect()
    print(json.dumps(report, indent=2) if args.json else render(report))


def collect() -> dict[str, Any]:
    """The report as JSON-ready data.

    `packages`: by extra ("base" for the base install), version or None by distribution; `environments`: by id, backend,
    twin, `missing` (what it needs and does not have, "" if it can run) and `given` (what else it needs, which
    cannot be checked from here: a server, a download); `problems`: what is wrong with files of `envs/`; `checkpoints`,
    `policies`: bytes by name.
    """
    import torch

    declared = look()
    return {
        "version": __version__,
        "python": platform.python_version(),
        "torch_threads": torch.get_num_threads(),
        "torch_devices": ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))],
        "packages": {extra or "base": {name: _version(name) for name in names} for extra, names in PACKAGES.items()},
        "environments": {
            d.id: {"backend": d.backend, "twin": d.twin, "missing": _missing(d), "given": _given(d)}
            for d in declared.known.values()
        },
        "problems": list(declared.problems),
        "checkpoints": {
            folder.name: sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            for folder in sorted(checkpoints_dir().glob("*"))
            if folder.is_dir() and folder.name != SHIPPED
        },
        "policies": {name: path.stat().st_size for name, path in shipped_policies().items()},
    }


def render(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"learned-sim-env {report['version']}, Python {report['python']}",
        f"torch: {report['torch_threads']} threads, devices {', '.join(report['torch_devices'])}",
        "\npackages",
    ]
    for extra, versions in report["packages"].items():
        installed = ", ".join(f"{name} {version or '-'}" for name, version in versions.items())
        lines.append(f"  {extra if extra == 'base' else f'[{extra}]':<12} {installed}")
    lines.append("\nenvironments")
    width = max(map(len, report["environments"]), default=0)
    for env_id, env in report["environments"].items():
        ready = f"ready, given {env['given']}" if env["given"] else "ready"
        state = f"missing: {env['missing']}" if env["missing"] else ready
        lines.append(f"  {env_id:<{width}} {env['backend']:<10} {state}")
    lines += [f"  wrong: {problem}" for problem in report["problems"]]
    for kind in ("checkpoints", "policies"):
        lines.append(f"\n{kind}")
        lines += [f"  {name:<24} {size / 1e6:.1f} MB" for name, size in report[kind].items()] or ["  none"]
    return "\n".join(lines)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _missing(declaration: EnvDeclaration) -> str:
    from learned_sim_env.world_model.checkpoint import locate

    backend = BACKENDS[declaration.backend]
    if find_spec(backend.module) is None:
        return f"extra [{backend.extra}]" if backend.extra else backend.module
    checkpoint = declaration.settings.get("checkpoint", "")
    if checkpoint.startswith(SCHEME):
        return "" if find_spec("huggingface_hub") else "extra [hub]"
    return f"checkpoint {checkpoint}" if checkpoint and locate(checkpoint) is None else ""


def _given(declaration: EnvDeclaration) -> str:
    from learned_sim_env.world_model.checkpoint import locate

    checkpoint = declaration.settings.get("checkpoint", "")
    if checkpoint.startswith(SCHEME) and not _missing(declaration) and locate(checkpoint) is None:
        return f"a download of {checkpoint}"
    return BACKENDS[declaration.backend].needs
