"""Checkpoints of the hub: what of one is needed is fetched into the hub's own cache, and that is said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.hf_api import ModelInfo

from isogloss.backbones.checkpoint.config import reason
from isogloss.backbones.checkpoint.folder import CONFIG, INDEX, PICKLE_INDEX, PICKLES, WEIGHTS, ModelFolder
from isogloss.backbones.checkpoint.tokenizer import FILES
from isogloss.errors import IsoglossError
from isogloss.runtime.console import err


def fetched(name: str, instead: str, *, pickle: bool) -> ModelFolder:
    """A model of the hub as a folder; what the cache has not is downloaded.

    Args:
        name: `org/model`, or `org/model@revision`.
        instead: an embedded backbone, for errors.
        pickle: whether weights are wanted that are pickles, where there are no others.

    Raises:
        IsoglossError: there is no such model, or it cannot be had.
    """
    repository, _, revision = name.partition("@")
    try:
        about = HfApi().model_info(repository, revision=revision or None, files_metadata=True)
    # Each version of the client raises another HTTP library's errors. Without network, the cache may have it.
    except Exception as error:
        if (there := cached(name)) is not None:
            return there
        raise IsoglossError(
            f"backbone {name} could not be loaded ({_why(error)}); without network use a local folder or {instead}"
        ) from error
    folder = _download(name, repository, about, pickle=pickle)
    return ModelFolder(name, folder, commit=about.sha)


def cached(name: str) -> ModelFolder | None:
    """A model of the hub as far as the hub's cache has it; None where it has not its configuration. Nobody is asked."""
    repository, _, revision = name.partition("@")
    try:
        config = try_to_load_from_cache(repository, CONFIG, revision=revision or None)
    except (ValueError, OSError):
        return None
    folder = Path(config).parent if isinstance(config, str) else None
    return None if folder is None else ModelFolder(name, folder, commit=folder.name)


def fetched_files(name: str, first: str, others: Sequence[str], *, what: str) -> ModelFolder | None:
    """A repository of the hub as a folder with these files, as many as it has; None if it has not the first of them.

    Args:
        name: `org/name`, or `org/name@revision`.
        first: a file that tells what it is.
        others: wanted besides.
        what: it is one of, for errors.

    Raises:
        IsoglossError: there is no such repository, or it cannot be had.
    """
    repository, _, revision = name.partition("@")
    try:
        about = HfApi().model_info(repository, revision=revision or None, files_metadata=True)
    except Exception:  # noqa: BLE001 - as above; where it is not cached either, whoever looks for a model will say so
        try:
            in_cache = try_to_load_from_cache(repository, first, revision=revision or None)
        except (ValueError, OSError):
            in_cache = None
        folder = Path(in_cache).parent if isinstance(in_cache, str) else None
        return None if folder is None else ModelFolder(name, folder, commit=folder.name, what=what)
    sizes = {file.rfilename: file.size or 0 for file in about.siblings or []}
    if first not in sizes:
        return None
    _fetch(repository, about.sha, {file: sizes[file] for file in (first, *others) if file in sizes})
    path = Path(hf_hub_download(repository, first, revision=about.sha)).parent
    return ModelFolder(name, path, commit=about.sha, what=what)


def _download(name: str, repository: str, about: ModelInfo, *, pickle: bool) -> Path:
    sizes = {file.rfilename: file.size or 0 for file in about.siblings or []}
    wanted = [file for file in (CONFIG, *FILES) if file in sizes]
    index = next((file for file in (INDEX, PICKLE_INDEX) if file in sizes), None)
    if (weights := next((file for file in (WEIGHTS, INDEX, PICKLES, PICKLE_INDEX) if file in sizes), None)) is not None:
        wanted.append(weights)
    is_cached = isinstance(try_to_load_from_cache(repository, weights or CONFIG, revision=about.sha), str)
    if weights in {PICKLES, PICKLE_INDEX} and not pickle and not is_cached:
        ModelFolder(name, Path(repository)).refuse_pickle()
    if CONFIG not in sizes:
        raise IsoglossError(f"backbone {name}: there is no {CONFIG} on the hub; expected a transformers checkpoint")
    _fetch(repository, about.sha, {file: sizes[file] for file in wanted})
    folder = Path(hf_hub_download(repository, CONFIG, revision=about.sha)).parent
    if weights is not None and weights == index:
        shards = ModelFolder(name, folder).shards(index)
        _fetch(repository, about.sha, {file: sizes[file] for file in shards if file in sizes})
    return folder


def _fetch(repository: str, commit: str | None, sizes: Mapping[str, int]) -> None:
    missing = [file for file in sizes if not isinstance(try_to_load_from_cache(repository, file, revision=commit), str)]
    if not missing:
        return
    megabytes = sum(sizes[file] for file in missing) / 1e6
    err.print(
        f"Downloading {repository} at {(commit or 'its newest revision')[:12]} from the hub ({megabytes:,.0f} MB)",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    for file in missing:
        try:
            hf_hub_download(repository, file, revision=commit)
        except Exception as error:
            raise IsoglossError(
                f"backbone {repository}: {file} could not be downloaded ({_why(error)}); run again to go on"
            ) from error


def _why(error: Exception) -> str:
    """The reason, of which the hub's client says the number of the answer first."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return reason(ValueError(lines[1]) if len(lines) > 1 and "Client Error" in lines[0] else error)
