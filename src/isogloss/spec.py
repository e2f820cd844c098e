"""The experiment as the user writes it: parsed and checked once, at the door."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PositiveInt, ValidationError

from isogloss.data.spec import DataSpec, ParallelSpec
from isogloss.errors import IsoglossError, unknown
from isogloss.languages.fields import Code, Targets, Unlabelled, words_by_language
from isogloss.languages.groups import check as check_group
from isogloss.preprocessing.templates import Template
from isogloss.runtime import yaml
from isogloss.runtime.checked import Checked, as_value_error, check, mistake
from isogloss.runtime.fields import Backbones, Device, RunName
from isogloss.runtime.visible import one_line
from isogloss.trackers.fields import Trackers

__all__ = ["DataSpec", "OwnSeeds", "ResolvedSpec", "Spec", "check", "presets", "read_spec"]


@as_value_error
def _template(text: str) -> str:
    Template.parse(text)
    return text


Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1, max_length=10_000)]


class _SpecType(type(BaseModel)):  # type: ignore[misc]
    """Where a spec is made in Python, a mistake is told as everywhere else."""

    if not TYPE_CHECKING:

        def __call__(cls, *arguments: Any, **values: Any) -> Any:
            try:
                return super().__call__(*arguments, **values)
            except ValidationError as error:
                raise mistake(cls, error, where="spec") from error


def _without_searches_off(methods: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`search: false` in the place of a preset's is as if there were none."""
    return {
        name: {key: value for key, value in raw.items() if value is not False or key not in {"search", "policies"}}
        for name, raw in methods.items()
    }


def _named_executor(value: object) -> object:
    """An executor may be given by its name alone."""
    return {"name": value} if isinstance(value, str) else value


class VerbalizerSpec(Checked):
    """Classes as words of the model's own, for methods with `head: verbalizer`."""

    template: Annotated[str, AfterValidator(_template)] = Field(
        "{text} {answer}", description="the text with places for the answer and a soft prompt: '{text}{prompt}{answer}'"
    )
    words: Annotated[dict[str, str] | dict[str, dict[str, str]], BeforeValidator(words_by_language)] = Field(
        {}, description="a word for each label, one token each, or such words by language; left out: the labels"
    )
    loss: Literal["vocabulary", "words"] = Field(
        "vocabulary", description="what the right word competes with: every token, or the other label words"
    )


class DynamicsSpec(Checked):
    """Looking on while runs learn; nothing is decided by what is seen."""

    every: PositiveInt | None = Field(
        None,
        description="updates between two observations; left out: a 25th of the training, 100 at most, or more where "
        "one of each target costs too much as often",
    )
    examples: PositiveInt = Field(
        8,
        description="at most so many of each target, of its development split, or where it has none of its test split, "
        "less these; and as many of the source as of all targets",
    )
    cost: Annotated[float, Field(gt=0)] | None = Field(
        0.15,
        description="most of a training's work, in tokens, that looking may take; or none, for any",
    )
    parallel: ParallelSpec | None = Field(
        None, description="after each epoch, how alike translations still are, and states to those before training"
    )


class OwnSeeds(BaseModel):
    """What a method of a spec may say besides its settings."""

    seeds: Seeds | None = None


class Spec(Checked, metaclass=_SpecType):
    """One experiment."""

    version: Literal[1] = Field(1, description="of the form that a spec has; 1 is the only one so far")

    name: RunName = Field(
        description="names the run directory; in a file it may be left out: then it is the file's own name"
    )
    backbone: Backbones = Field(
        "embedded/multilingual-e5-small",
        description="embedded/…, a checkpoint folder, a GGUF file, or a hub id (org/model@revision); or several in a "
        "list, to compare them",
    )
    weights: Literal["safetensors", "pickle"] = Field(
        "safetensors",
        description="`pickle` lets a backbone's weights be unpickled, numbers alone, where there are no safetensors",
    )
    task: str = Field(description="a data set by its card; `isogloss list tasks`")
    data: DataSpec = Field(default_factory=DataSpec, description="where the data lies and how much of it is used")
    source: Code | None = Field(None, description="the one language to train in; left out: the data set's usual one")
    targets: Targets = Field(
        "all", description="languages to score besides the source, or groups: family:Uralic, script:Cyrl, low-resource"
    )
    unlabelled: Unlabelled = Field(
        [],
        description="languages, or groups, that are predicted and not scored; labels that they have are not looked at. "
        "Languages of `targets` whose files have no labels are added",
    )
    groups: list[Annotated[str, AfterValidator(as_value_error(check_group))]] = Field(
        [], description="groups of targets whose averages the table shows; those that `targets` names are added"
    )
    methods: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], dict[str, Any]], AfterValidator(_without_searches_off)
    ] = Field(
        min_length=1,
        description="settings by name; `method` says which method where the name is not one, `seeds` its own seeds; "
        "`search` what is to be searched, `false` nothing",
    )
    verbalizer: VerbalizerSpec | None = Field(
        None, description="the words that are the classes, where a method says `head: verbalizer`"
    )
    dynamics: DynamicsSpec | None = Field(
        None, description="follow scores of the source and the targets through training, into the history"
    )
    seeds: Seeds = Field([0], description="one training each; three give an interval")
    device: Device = Field(
        "auto", description="auto (a GPU where there is one), cpu, cuda, cuda:1 (of several, by its number) or mps"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="what the backbone computes in; auto: as the run directory's cells, in a new one bf16 where the "
        "hardware is faster in it",
    )
    deterministic: bool = Field(
        False,
        description="the same bits whenever the same is computed again on the same machine, on a GPU too, where torch "
        "takes slower ways for it (by how much is not measured yet); on a CPU with as many threads it is so anyway",
    )
    gradient_checkpointing: bool = Field(
        False, description="compute states again in the backward pass instead of keeping them: less memory, more time"
    )
    memory: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None,
        description="GB that a job may take beside the loaded backbone and the data, by which passes and stacks are "
        "made smaller; left out: four fifths of what is free when it begins, with `deterministic` any",
    )
    compile: bool = Field(
        False,
        description="each layer of the backbone compiled by torch.compile, once for each shape of a batch: for long "
        "trainings on a GPU; on a CPU it is not worth its time",
    )
    checkpoint_minutes: float = Field(3.0, ge=0, description="how much training a crash may cost at most")
    track: Trackers = Field(
        {},
        description="where else a training is told of while it goes: `[mlflow]`, `[trackio]`, or with settings, "
        "`{mlflow: {experiment: topics}}`",
    )

    executor: Annotated[dict[str, Any], BeforeValidator(_named_executor)] = Field(
        {},
        description="what carries out the jobs: `ray`, or with settings `{name: ray, cpus: 4}`; left out: this "
        "process, one after the other. It has no part in results, and a run directory does not keep it",
    )

    @property
    def compared(self) -> list[str]:
        """The backbones that are compared; none where there is but one."""
        return [] if isinstance(self.backbone, str) else list(self.backbone)

    @property
    def one_backbone(self) -> str:
        """The backbone of one run directory; of several, each is carried out as a spec of its own.

        Raises:
            IsoglossError: there are several.
        """
        if isinstance(self.backbone, str):
            return self.backbone
        raise IsoglossError(f"backbone: {', '.join(self.backbone)}; expected one here")


class ResolvedSpec(Spec):  # type: ignore[metaclass]
    """A spec as a run directory keeps it: every default filled in, the source and the targets named."""

    backbone: str
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]  # checked when it was new
    source: Code
    targets: list[Code]
    unlabelled: list[Code] = Field([])


def read_spec(name: str, overrides: list[str] | None = None) -> Spec:
    """A spec from a file or a preset, with `--set` applied.

    Args:
        name: a YAML file, or the name of a preset.
        overrides: `key=value` pairs, keys with dots, values in YAML.

    Raises:
        IsoglossError: there is no such spec, or something in it is wrong; the first mistake is named.
    """
    path = _found(name)
    raw = yaml.load(path)
    if not isinstance(raw, dict):
        held = "nothing" if raw is None else f"a {type(raw).__name__}"
        raise IsoglossError(f"{name} holds {held}; expected keys and values such as `task: sib200`")
    for override in overrides or []:
        _set(raw, override)
    if "name" not in raw and (named_after := _named_after(path)):
        raw = {"name": named_after, **raw}
    return check(Spec, raw, where=name)


def _found(name: str) -> Path:
    """The file or the preset of that name; a folder is neither."""
    path = Path(name)
    try:
        there, folder = path.exists() or path.is_symlink(), path.is_dir()
    except (OSError, ValueError):  # a name that no file can have
        there = folder = False
    if folder and name not in presets():
        inside = path / "spec.yaml"
        hint = f", such as {inside}" if inside.is_file() else ""
        raise IsoglossError(f"spec {name} is a folder; expected a YAML file{hint}, or the name of a preset")
    if (there and not folder) or path.suffix in {".yaml", ".yml"}:
        return path
    if name not in presets():
        near = next((f"{name}{suffix}" for suffix in (".yaml", ".yml") if _is_file(f"{name}{suffix}")), None)
        at = f" (there is {near})" if near else ""
        raise IsoglossError(f"there is no file {name!r:.250}{at}; {unknown('preset', name[:250], presets())}")
    return presets()[name]


def _named_after(path: Path) -> str:
    """The name of a run whose spec does not say it: its file's; none of a pipe, which is called by a number."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-") if path.is_file() else ""


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def presets() -> dict[str, Path]:
    """Every packaged experiment by its name."""
    folder = Path(str(resources.files("isogloss") / "presets"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _set(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise IsoglossError(f"--set {override!r} is not of the form KEY=VALUE, such as methods.deep-prompt.lr=1e-2")
    *parents, last = key.split(".")
    if not all([*parents, last]):
        raise IsoglossError(f"--set {override!r}: a part of the key is empty; expected such as methods.deep-prompt.lr")
    at = raw
    for parent in parents:
        if at.get(parent) is None:
            at[parent] = {}
        at = at[parent]
        if not isinstance(at, dict):
            raise IsoglossError(f"--set {key}: {parent!r} holds no keys of its own")
    try:
        at[last] = yaml.loads(value)
    except yaml.YAMLError as error:
        problem = one_line(str(getattr(error, "problem", None) or error))
        raise IsoglossError(f"--set {key}: {value[:60]!r} is not YAML: {problem}") from error
