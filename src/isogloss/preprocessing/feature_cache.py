"""Features that took long to make, kept in the user's cache for the next run.

Each is a folder, named by a hash of all that decides what is in it: the examples, the tokenizer, the settings, and the
versions of what makes features of them. Its arrays are NumPy's own files, each of one array, which is mapped as it
lies: rows of unlike lengths are five arrays of unlike lengths, for which Arrow's tables would be one file each too,
read through a library that takes a damaged file for a reason to end the process. So a second run begins at once, and
what it does not look at is never in memory.

A folder is written whole or not at all, and checked before it is read: one that is damaged, or no such folder, is as
good as none. What nobody has used for a month goes, and the oldest where all take more than `MOST`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import isogloss
from isogloss.errors import IsoglossError
from isogloss.preprocessing.encoding import as_given
from isogloss.preprocessing.features import Features, FilledTemplate, Texts, WordSpans
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.console import err
from isogloss.runtime.files import DAY, atomic_folder, read_pieces
from isogloss.runtime.json import load_mapping

FORMAT = 1  # goes up where other features are made of the same texts
SMALLEST = 256 << 10  # bytes of texts that are worth it: they take a tenth of a second, and finding them a hundredth
MOST = 16 << 30  # bytes of all
UNUSED = 30 * DAY  # seconds
INDEX = "index.json"
MAPPED = 1 << 20  # bytes of an array that is mapped, not read


def kept_features(facts: Mapping[str, Any], texts: tuple[Texts, ...], make: Callable[[], Features]) -> Features:
    """Features from the cache, or made and put there.

    Args:
        facts: all that decides them, beside the versions; can be written as JSON.
        texts: the columns that they are made of, which the data have and the cache has not.
        make: makes them.
    """
    made_by = {name: version(name) for name in ("tokenizers", "transformers")}
    key = json.dumps({"format": FORMAT, "isogloss": isogloss.__version__, **made_by, **facts}, sort_keys=True)
    folder = features_folder() / hashlib.sha256(key.encode()).hexdigest()[:40]
    if (kept := _read(folder, texts)) is not None:
        return kept
    features = make()
    try:
        with atomic_folder(folder) as temporary:
            _write(temporary, features)
        _sweep(folder.parent)
    except (OSError, IsoglossError) as error:
        err.print(f"{folder} could not be written ({_why(error)}); the next run tokenises again", soft_wrap=True)
        return features
    kept = _read(folder, texts)  # of which only what is looked at stays in memory
    return features if kept is None else kept


def features_folder() -> Path:
    """Where they are kept; it may be removed at any time, while nothing runs."""
    return cache_folder() / "features"


@lru_cache(maxsize=4)
def tokenizer_identity(tokenizer: Any) -> str:
    """sha256 over all that decides what a fast tokenizer makes of a text."""
    as_given(tokenizer)
    special = {name: str(value) for name, value in tokenizer.special_tokens_map.items()}
    rest = [type(tokenizer).__name__, list(tokenizer.model_input_names), tokenizer.all_special_ids, special]
    return hashlib.sha256((tokenizer.backend_tokenizer.to_str() + json.dumps(rest)).encode()).hexdigest()


def _arrays(features: Features) -> dict[str, np.ndarray]:
    words, filled = features.words, features.filled
    arrays = {
        "tokens": features.tokens, "types": features.types, "starts": features.starts, "labels": features.labels,
        "offsets": features.offsets,
    }  # fmt: skip
    if words is not None:
        arrays |= {"word-counts": words.counts, "word-spans": words.spans}
    if filled is not None:
        arrays |= {
            "answer": filled.answer, "prompt": filled.prompt, "text-spans": filled.spans, "wording": filled.wording,
        }  # fmt: skip
    return {name: array for name, array in arrays.items() if array is not None}


def _write(folder: Path, features: Features) -> None:
    arrays = _arrays(features)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    index = {
        "arrays": {name: _sha256(folder / f"{name}.npy") for name in arrays},
        "last": features.words is not None and features.words.last,
        "longest": features.longest,
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _read(folder: Path, texts: tuple[Texts, ...]) -> Features | None:
    """What is kept in a folder; None where there is none, or it is damaged, which is said."""
    if not os.path.lexists(folder):
        return None
    try:
        features = _features(folder, texts)
    except (OSError, IsoglossError, ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
        err.print(f"{folder} is damaged ({_why(error)}); its texts are tokenised anew", markup=False, soft_wrap=True)
        with suppress(OSError):
            folder.unlink() if folder.is_symlink() or not folder.is_dir() else shutil.rmtree(folder)
        return None
    with suppress(OSError):  # of a cache that is only to be read
        os.utime(folder)
    return features


def _features(folder: Path, texts: tuple[Texts, ...]) -> Features:
    index = load_mapping(folder / INDEX)
    if not index:
        raise ValueError(f"{INDEX} is missing or none")
    arrays = {}
    for name, sha256 in index["arrays"].items():
        file = folder / f"{Path(name).name}.npy"
        if _sha256(file) != sha256:
            raise ValueError(f"{file.name} is not the file that was written")
        mode: Any = "c" if file.stat().st_size >= MAPPED else None  # what is written to a page stays in memory
        arrays[name] = np.asarray(np.load(file, mmap_mode=mode, allow_pickle=False))
    words = filled = None
    if "word-counts" in arrays:
        words = WordSpans(arrays["word-counts"], arrays["word-spans"], index["last"])
    if "answer" in arrays:
        filled = FilledTemplate(arrays["answer"], arrays.get("prompt"), arrays["text-spans"], arrays["wording"])
    return Features(
        tokens=arrays["tokens"],
        types=arrays.get("types"),
        starts=arrays["starts"],
        labels=arrays["labels"],
        texts=texts,
        words=words,
        filled=filled,
        offsets=arrays.get("offsets"),
        longest=index["longest"],
    )


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    for piece in read_pieces(file):
        digest.update(piece)
    return digest.hexdigest()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or [*str(error).splitlines(), type(error).__name__][0]


def _sweep(parent: Path) -> None:
    """Remove what nobody has used for long, and the oldest of the rest where all of it is too much."""
    found = []
    for folder in parent.iterdir():
        if not folder.name.startswith("."):
            with suppress(OSError):
                size = sum(file.stat().st_size for file in folder.iterdir())
                found.append((folder.stat().st_mtime, size, folder))
    room, now = MOST, time.time()
    for used, size, folder in sorted(found, reverse=True):
        room -= size
        if now - used > UNUSED or (room < 0 and now - used > DAY):  # else a run may well have it open
            shutil.rmtree(folder, ignore_errors=True)
