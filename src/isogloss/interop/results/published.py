"""What all formats of results say of a run directory: each cell is a model with a name, and has scores by language.

A model is called `isogloss/RUN-METHOD-seed-N`. No path of a machine and no text of the data is part of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isogloss.data.cards import Card
from isogloss.errors import IsoglossError
from isogloss.experiment.provenance import with_defaults
from isogloss.interop import backbone_origin
from isogloss.interop.backbone_origin import BackboneOrigin
from isogloss.interop.cell_scores import CellScores, card_of, method_scores
from isogloss.interop.places import label as label_elsewhere
from isogloss.interop.places import without_places
from isogloss.languages.language import Language
from isogloss.runtime.files import atomic_file
from isogloss.spec import ResolvedSpec
from isogloss.store import RunRecord, Store

TOOL = "isogloss"
_ODD = re.compile(r"[^A-Za-z0-9.]+")


@dataclass(frozen=True)
class PublishedModel:
    """A cell as others may call it.

    Args:
        name: `isogloss/RUN-METHOD-seed-N`.
        scores: of its test splits.
        spec: of the run.
        card: of the data set, if it is known.
        backbone: where it comes from.
        finished: when its cell was stored, in seconds of Unix time.
    """

    name: str
    scores: CellScores
    spec: ResolvedSpec
    card: Card | None
    backbone: BackboneOrigin
    finished: float

    @property
    def record(self) -> RunRecord:
        """What is known of the cell."""
        return self.scores.cell.record

    @property
    def short_name(self) -> str:
        """The name without what stands before the stroke."""
        return self.name.partition("/")[2]

    @property
    def task(self) -> str:
        """The data set's name, as it may stand in the name of a file."""
        return _plain(self.scores.task)

    @property
    def revision(self) -> str:
        """Of its weights."""
        return (self.record.weights_sha256 or "unknown")[:40]

    @property
    def version(self) -> str:
        """Of isogloss, that trained and scored it."""
        return str(self.record.environment.get("isogloss") or "unknown")

    @property
    def settings(self) -> dict[str, Any]:
        """Of the method, all of them."""
        return dict(without_places(with_defaults(self.record.facts)["settings"]))

    @property
    def method(self) -> str:
        """The label of its method, without a path of this machine."""
        return label_elsewhere(self.record)

    @property
    def hub_data(self) -> str | None:
        """The id of the test data on the hub, where they came from there."""
        about = self._data
        return about["hub"] if isinstance(about.get("hub"), str) else None

    @property
    def data_revision(self) -> str:
        """The commit of the test data on the hub, or else a hash of the test data themselves."""
        about = self._data
        if self.hub_data is not None and isinstance(about.get("revision"), str):
            return str(about["revision"])
        whole = json.dumps(self.record.test_data, sort_keys=True).encode()
        return f"sha256-{hashlib.sha256(whole).hexdigest()[:32]}"

    @property
    def _data(self) -> Mapping[str, Any]:
        about = self.record.environment.get("data")
        return about if isinstance(about, dict) else {}

    def subset(self, code: str) -> str:
        """What the data set itself calls a language."""
        return code if self.card is None else self.card.languages.get(code, code)


def published(store: Store) -> list[PublishedModel]:
    """Every finished cell, in the order of the spec's methods.

    Raises:
        IsoglossError: nothing is finished, or a cell is damaged.
    """
    cells = store.finished()
    if not cells:
        raise IsoglossError(f"{store.path} holds no finished run; `isogloss run` makes one")
    spec = store.known_spec()
    card = card_of(spec)
    labels, records = store.labels(), {cell.record.method: cell.record for cell in cells}
    short = {label: _plain(label_elsewhere(records[label])) for label in labels}
    counted = Counter(short.values())
    for label, name in short.items():
        if counted[name] > 1:  # unlike labels have unlike names
            short[label] = f"{name}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
    return [
        PublishedModel(
            f"{TOOL}/{_plain(spec.name)}-{short[label]}-seed-{seed}", scores, spec, card,
            backbone_origin.origin(spec.backbone, scores.cell.record),
            (scores.cell.folder / "run.json").stat().st_mtime,
        )
        for label in labels
        for seed, scores in sorted(method_scores(store, label).items())
    ]  # fmt: skip


def iso_script(code: str) -> str:
    """A language as ISO 639-3 and ISO 15924 alone, without a region or a variety."""
    language = Language.parse(code)
    return f"{language.iso}-{language.script}"


def write_json(file: Path, value: Any) -> Path:
    """Write a value as JSON, whole or not at all.

    Returns:
        The file.
    """
    with atomic_file(file) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return file


def _plain(name: str) -> str:
    """A name of letters, digits, dots and single strokes, as every hub and file system takes it."""
    return _ODD.sub("-", name).strip("-.")[:80].rstrip("-.") or "run"
