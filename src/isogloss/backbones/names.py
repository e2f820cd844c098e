"""Where a backbone lies, by its name."""

from __future__ import annotations

from pathlib import Path

from isogloss.backbones.checkpoint.config import reason
from isogloss.backbones.checkpoint.folder import CONFIG, ModelFolder
from isogloss.backbones.checkpoint.hub import cached, fetched
from isogloss.backbones.packaged import conversion, e5, gemma, gguf
from isogloss.errors import IsoglossError, unknown

EMBEDDED = {module.NAME: module for module in (e5, gemma)}


def where(name: str) -> str:
    """In words, where a backbone would come from; nothing is fetched.

    Raises:
        IsoglossError: there can be no such backbone.
    """
    if name in EMBEDDED:
        return "from a package, converted once into the cache"
    if gguf.is_file(name):
        return "a local file, converted once into the cache"
    if local_folder(name) is not None:
        return "a local folder"
    revision = name.partition("@")[2]
    return f"from the hub, {f'revision {revision}' if revision else 'its newest revision'}, unless it is cached"


def is_folder(name: str) -> bool:
    """Whether it is a checkpoint in a folder of the user's."""
    return name not in EMBEDDED and not gguf.is_file(name) and local_folder(name) is not None


def at_hand(name: str) -> ModelFolder | None:
    """The checkpoint by that name, as safetensors on this machine; None where something has to be fetched or converted.

    Raises:
        IsoglossError: there can be no such backbone.
    """
    if gguf.is_file(name):
        return None
    if name in EMBEDDED:
        path = conversion.present(EMBEDDED[name].FOLDER)
    else:
        path = local_folder(name)
        if path is None:
            folder = cached(name)
            return folder if folder is not None and _complete(folder) else None
    if path is None:
        return None
    folder = ModelFolder(name, path)
    return folder if folder.weights() else None


def _complete(folder: ModelFolder) -> bool:
    """Whether the hub's cache has the weights too: they may not all have come."""
    try:
        return bool(folder.weights())
    except IsoglossError:
        return False


def is_converted(name: str) -> bool:
    """Whether what is loaded is a conversion, kept in the cache."""
    return name in EMBEDDED or gguf.is_file(name)


def folder_of(name: str, *, pickle: bool) -> ModelFolder:
    """The checkpoint by that name, converted or downloaded first where it has to be."""
    if name in EMBEDDED:
        return ModelFolder(name, EMBEDDED[name].folder())
    if gguf.is_file(name):
        return ModelFolder(name, gguf.folder(Path(name).expanduser()))
    if (path := local_folder(name)) is not None:
        return ModelFolder(name, path)
    return fetched(name, instead=e5.NAME, pickle=pickle)


def local_folder(name: str) -> Path | None:
    """The folder by that name; None where it can only be a model of the hub.

    Raises:
        IsoglossError: it can be neither.
    """
    if name.startswith("embedded/"):
        raise unknown("embedded backbone", name, EMBEDDED)
    expected = f"expected a folder, a GGUF file, a hub id, or {e5.NAME}"
    try:
        path = Path(name).expanduser()
        is_folder, there = path.is_dir(), path.exists()
    except (OSError, RuntimeError) as error:  # of a home that nobody has, it is a RuntimeError
        raise IsoglossError(f"backbone {name!r:.200} cannot be looked at ({reason(error)}); {expected}") from error
    if is_folder and name:
        if not (path / CONFIG).exists():
            raise IsoglossError(f"backbone folder {name} has no config.json; expected a transformers checkpoint")
        return path
    if there:
        raise IsoglossError(f"backbone {name!r} is a file; {expected}")
    if path.is_absolute() or name.startswith((".", "~")) or name.endswith(".gguf") or not name:
        raise IsoglossError(f"backbone {name} does not exist; {expected}")
    return None
