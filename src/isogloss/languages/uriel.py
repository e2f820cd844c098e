"""Distances between languages by what linguists know of them: URIEL+ (Khan et al. 2025, COLING, pages 6937-6952).

Its package `urielplus` holds URIEL (Littell et al. 2017) and newer databases, and puts them together when asked to; the
result is kept in the user's cache. The data is CC BY-SA 4.0, and none of it comes with isogloss.

Nothing is imputed: a feature of a language is what any source says of it (the union, URIEL's own choice, with the
package's rules for features that follow from others), and a distance is over the features that both are known in.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int8

from isogloss.errors import IsoglossError, install
from isogloss.languages.language import Language
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.files import atomic_file

TYPOLOGY = {"syntactic": "S_", "phonological": "P_", "inventory": "INV_", "featural": ""}  # how their features begin
KINDS = ("syntactic", "genetic", "geographic", "phonological", "inventory", "featural")
FEWEST = 10  # features of both languages that a distance is computed over; URIEL+ takes a single one
# eWAVE tells dialects of English apart and BDPROTO holds languages long dead; neither bears on others.
DATABASES = ("UPDATED_SAPHON", "GRAMBANK", "APICS")
# Where our code is a macrolanguage, the member that is its standard; where it is a standard whose grammar is described
# under the code of the whole, that. Kongo and Sardinian have members but no such one.
DESCRIBED_AS = {"bos": "hbs", "est": "ekk", "grn": "gug", "hrv": "hbs", "lvs": "lav", "srp": "hbs", "zho": "cmn"}


@dataclass(frozen=True, eq=False)
class Uriel:
    """What is known of every language.

    Args:
        rows: the row of each ISO 639-3 code.
        features: names of the typological ones.
        typology: 1 where a language has a feature, 0 where not, -1 where that is not known.
        lineage: which groups of languages it belongs to, of Glottolog's tree; -1 where that is not known.
        places: how far it is from points all over the globe, as a share of the farthest; -1 where that is not known.
    """

    rows: dict[str, int]
    features: list[str]
    typology: Int8[np.ndarray, "languages features"]
    lineage: Int8[np.ndarray, "languages groups"]
    places: Float[np.ndarray, "languages points"]

    def distances(self, one: Language, other: Language) -> dict[str, float | None]:
        """All kinds of distance from 0 to 1, angles between vectors; None where too little is known of either language.

        A language that belongs to no group is at a genetic distance of 1 from any other (URIEL+ says 0.97 to 1).
        """
        first, second = (self.rows.get(DESCRIBED_AS.get(code, code)) for code in (one.iso, other.iso))
        if first is None or second is None:
            return dict.fromkeys(KINDS)
        by_kind = {"genetic": _angle(self.lineage[first], self.lineage[second], fewest=self.lineage.shape[1])}
        if by_kind["genetic"] is None and (self.lineage[[first, second]] >= 0).all():
            by_kind["genetic"] = float(first != second)
        by_kind["geographic"] = _angle(self.places[first], self.places[second], fewest=self.places.shape[1])
        for kind, prefix in TYPOLOGY.items():
            of_kind = np.array([name.startswith(prefix) for name in self.features])
            by_kind[kind] = _angle(self.typology[first, of_kind], self.typology[second, of_kind], fewest=FEWEST)
        return {kind: by_kind[kind] for kind in KINDS}


def _angle(one: np.ndarray, other: np.ndarray, *, fewest: int) -> float | None:
    """The angle between two vectors over what is known of both; 1 is a right angle."""
    known: Bool[np.ndarray, "n"] = (one >= 0) & (other >= 0)
    first, second = one[known].astype(np.float64), other[known].astype(np.float64)
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    if known.sum() < fewest or size == 0:
        return None
    if np.array_equal(first, second):
        return 0.0
    return float(2 / np.pi * np.arccos(np.clip(first @ second / size, 0, 1)))


@cache
def load() -> Uriel:
    """URIEL+; put together the first time, which takes a minute and 2 GB.

    Raises:
        IsoglossError: its package is not there, or may not write to its own folder.
    """
    try:
        version = metadata.version("urielplus")
    except metadata.PackageNotFoundError:
        raise IsoglossError(f"URIEL+ is not installed; {install('uriel')}") from None
    path = cache_folder() / "uriel" / f"urielplus-{version}.npz"
    if not path.is_file():
        arrays: dict[str, Any] = _integrated()
        with atomic_file(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    with np.load(path, allow_pickle=False) as stored:
        return Uriel(
            {str(code): int(row) for code, row in zip(stored["codes"], stored["rows"], strict=True)},
            stored["features"].tolist(),
            stored["typology"],
            stored["lineage"],
            stored["places"],
        )


def _integrated() -> dict[str, np.ndarray]:
    """The arrays of `Uriel`, as the package's own code puts them together."""
    with _as_it_logs():
        package = import_module("urielplus.urielplus")
        try:
            knowledge = package.URIELPlus()
        except OSError as error:
            raise IsoglossError(
                f"URIEL+ copies its data within its own package and may not ({error.strerror}); install urielplus "
                "in an environment that you may write to"
            ) from error
        knowledge.integrate_custom_databases(*DATABASES)
    row_of = {str(code): row for row, code in enumerate(knowledge.langs[1])}
    folder = Path(str(package.__file__)).parent
    with (folder / "database" / "urielplus_csvs" / "uriel_glottocode_map.csv").open(encoding="utf-8") as stream:
        pairs = [(row["iso_code"].strip(), row["glottocode"].strip()) for row in csv.DictReader(stream)]
    known = [(code, row_of[glottocode]) for code, glottocode in pairs if glottocode in row_of]
    return {
        "codes": np.array([code for code, _ in known]), "rows": np.array([row for _, row in known]),
        "features": knowledge.feats[1].astype(str), "typology": knowledge.data[1].max(axis=2).astype(np.int8),
        "lineage": knowledge.data[0][:, :, 0].astype(np.int8), "places": knowledge.data[2][:, :, 0].astype(np.float32),
    }  # fmt: skip


@contextmanager
def _as_it_logs() -> Iterator[None]:
    """Without what the package logs, and without what it makes of everybody's logging."""
    root, disabled = logging.getLogger(), logging.root.manager.disable
    level, handlers = root.level, root.handlers[:]
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
        logging.disable(disabled)
