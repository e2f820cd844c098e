"""The hub: an export is pushed to it, and what a stranger has pushed comes back as a run directory.

Every export holds a folder `isogloss/`, a run directory of its one cell (`isogloss.interop.exported_run`). Of a
repository that folder alone is fetched, and of that folder nothing but files by the names, of the kinds and of the
sizes that isogloss writes there. The backbone comes from where its name says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from isogloss.errors import IsoglossError
from isogloss.runtime.console import err
from isogloss.runtime.visible import one_line

FOLDER = "isogloss"  # in an export
README = "README.md"
# Most bytes of a file, by its kind; others are not fetched.
LARGEST = {".json": 16 << 20, ".yaml": 2 << 20, ".parquet": 256 << 20, ".safetensors": 64 << 30}
MOST = 100  # files
_PLAIN = re.compile(r"[A-Za-z0-9_=,+-][A-Za-z0-9._=,+-]{0,199}")  # of what lies there
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_NAME = re.compile(rf"{_PART}/{_PART}(@[A-Za-z0-9_][A-Za-z0-9._/-]*)?")
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"


def local_run_directory(given: Path, text: str) -> Path:
    """Where a run directory lies that somebody named: a folder, an export, or an export on the hub.

    A folder of that name wins, and a name in a folder that is there is never looked for on the hub: it was mistyped.

    Args:
        given: as a path.
        text: as it was given: `org/name` or `org/name@revision` on the hub.

    Raises:
        IsoglossError: there is no such export on the hub, or it cannot be had.
    """
    if given.is_dir():
        inside = given / FOLDER
        return inside if not (given / "spec.yaml").exists() and (inside / "spec.yaml").is_file() else given
    elsewhere = not given.exists() and ("@" in text or not given.parent.is_dir())
    return pulled(text) if elsewhere and _NAME.fullmatch(text) and ".." not in text else given


def push(folder: Path, repository: str, *, private: bool = True) -> str:
    """Publish an export.

    Args:
        folder: with a model card, `README.md`, in it.
        repository: `org/name`; made where there is none.
        private: whether a new repository can be seen by its owners alone; one that is there stays as it is. Private
            unless somebody says otherwise: scores, labels and weights tell of the data.

    Returns:
        Its address.

    Raises:
        IsoglossError: it is no export, or the hub does not take it.
    """
    from huggingface_hub import HfApi, get_token

    check_repository(repository)
    if not (folder / README).is_file():
        raise IsoglossError(f"{folder} has no {README}; expected a folder that `isogloss export` wrote")
    if (link := next((path for path in folder.rglob("*") if path.is_symlink()), None)) is not None:
        raise IsoglossError(f"{link} is a link; expected an export as it was written, which holds none")
    if get_token() is None:
        raise IsoglossError(f"{repository} cannot be pushed: there is no token; {_LOGIN}")
    api = HfApi()
    try:
        url = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Model exported by isogloss",
            delete_patterns=[f"{FOLDER}/*"],  # of an export before, the cell that was there
        )  # fmt: skip
    # Each version of the client raises another HTTP library's errors.
    except Exception as error:
        raise IsoglossError(f"{repository} cannot be pushed: {_refused(error, repository)}") from error
    return str(url)


def check_repository(repository: str) -> None:
    """Whether a repository can be called so.

    Raises:
        IsoglossError: it cannot.
    """
    named = isinstance(repository, str) and _NAME.fullmatch(repository)
    if not named or "@" in repository or ".." in repository or "--" in repository:
        raise IsoglossError(f"{repository!r:.120} is no name of a repository; expected such as my-org/my-model")


def pulled(name: str, revision: str | None = None) -> Path:
    """The run directory in an export on the hub; what the cache has not is downloaded, which is said.

    Args:
        name: `org/name`, or `org/name@revision`.
        revision: a branch, tag or commit; None: as the name says, or the newest.

    Raises:
        IsoglossError: there is none, it cannot be had, or it holds what no export holds.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    repository, _, asked = name.partition("@")
    revision = revision or asked or None
    try:
        about = HfApi().model_info(repository, revision=revision, files_metadata=True)
    # Without network, the cache may have it.
    except Exception as error:
        cached = None
        with suppress(ValueError, OSError):
            cached = try_to_load_from_cache(repository, f"{FOLDER}/spec.yaml", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent
        raise IsoglossError(
            f"{name}: there is no such folder, and from the hub it could not be had ({_why(error)}); expected a run "
            "directory, or org/name of an export on the hub"
        ) from error
    if not isinstance(about.sha, str) or not _COMMIT.fullmatch(about.sha):
        raise IsoglossError(f"{name}: the hub names no commit of it; try again")
    sizes = wanted(name, ((file.rfilename, file.size) for file in about.siblings or []))
    return _fetched(repository, about.sha, sizes)


def wanted(name: str, files: Iterable[tuple[str, int | None]]) -> dict[str, int]:
    """Of a repository's files those of the run directory, with their sizes.

    Args:
        name: of the repository, for errors.
        files: names and sizes of all, as the hub says.

    Raises:
        IsoglossError: there is no run directory, or one of its files is larger than isogloss writes it.
    """
    sizes: dict[str, int] = {}
    for file, size in files:
        if not _belongs(file):
            continue
        most = LARGEST[PurePosixPath(file).suffix]
        if not isinstance(size, int) or not 0 <= size <= most:
            raise IsoglossError(
                f"{name}: {file} is {'of no known size' if size is None else f'{size:,} bytes'}; expected at most "
                f"{most >> 20:,} MiB, as isogloss writes it"
            )
        sizes[file] = size
    if f"{FOLDER}/spec.yaml" not in sizes:
        raise IsoglossError(
            f"{name} on the hub holds no model of isogloss (there is no {FOLDER}/spec.yaml); expected what "
            "`isogloss export … --push` has put there"
        )
    if len(sizes) > MOST:
        raise IsoglossError(f"{name} on the hub holds {len(sizes):,} files of isogloss; expected the few of one model")
    return sizes


def _belongs(file: str) -> bool:
    """Whether a file may be one of an exported run directory, by its name."""
    folder, *parts = file.split("/")
    if folder != FOLDER or not all(_PLAIN.fullmatch(part) for part in parts):
        return False
    if len(parts) == 1:
        return parts[0] in {"spec.yaml", "environment.json"}
    depth = 4  # weights/METHOD/SEED/file
    return (
        len(parts) == depth
        and parts[0] == "weights"
        and parts[2].isdecimal()
        and PurePosixPath(parts[3]).suffix in {".json", ".parquet", ".safetensors"}
    )


def _fetched(repository: str, commit: str, sizes: Mapping[str, int]) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    lacking = [file for file in sizes if not isinstance(try_to_load_from_cache(repository, file, revision=commit), str)]
    if lacking:
        megabytes = sum(sizes[file] for file in lacking) / 1e6
        err.print(
            f"Downloading {repository} at {commit[:12]} from the hub ({megabytes:,.1f} MB)",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    for file in sizes:
        try:
            path = Path(hf_hub_download(repository, file, revision=commit))
        except Exception as error:
            raise IsoglossError(
                f"{repository}: {file} could not be downloaded ({_why(error)}); try again to go on"
            ) from error
        if not path.is_file() or path.stat().st_size != sizes[file]:
            raise IsoglossError(f"{repository}: {file} is not of the size that the hub says; try again")
    return Path(hf_hub_download(repository, f"{FOLDER}/spec.yaml", revision=commit)).parent


def _refused(error: Exception, repository: str) -> str:
    """Why the hub does not take something, and what mends it."""
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set; unset it to reach the hub"
    if isinstance(error, LocalTokenNotFoundError) or status == 401:  # noqa: PLR2004
        return f"the hub knows no such token; {_LOGIN}"
    if status == 403:  # noqa: PLR2004
        return f"your token may not write to {repository.partition('/')[0]}; take one that may, or a name of your own"
    if isinstance(error, HFValidationError):
        return f"{_why(error)}; expected such as my-org/my-model"
    return f"{_why(error)}; try again once the hub can be reached"


def _why(error: Exception) -> str:
    """The reason in a line; the hub's client says the number of the answer first."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = lines[1] if len(lines) > 1 and "Client Error" in lines[0] else lines[0] if lines else type(error).__name__
    return one_line(text)[:300]
