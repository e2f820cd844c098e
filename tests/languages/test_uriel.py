"""Distances between languages: against the package's own, and against plain NumPy on made-up knowledge."""

import logging
from importlib import metadata

import numpy as np
import pytest

from isogloss.errors import IsoglossError
from isogloss.languages import uriel
from isogloss.languages.language import Language
from isogloss.languages.uriel import KINDS, Uriel


def made():
    """English, German, Basque and Korean, isolates both, and Estonian, of which nothing but the family is known."""
    generator = np.random.default_rng(0)
    features = [f"{kind}_{number}" for kind in ("S", "P", "INV", "M") for number in range(15)]
    typology = generator.integers(0, 2, (5, 60)).astype(np.int8)
    typology[1, :6] = typology[2, 4:12] = -1
    typology[4] = -1
    lineage = np.zeros((5, 7), dtype=np.int8)
    lineage[0, :3] = lineage[1, [0, 1, 3, 4]] = lineage[4, 5:] = 1
    places = generator.uniform(0, 1, (5, 20)).astype(np.float32)
    places[4] = -1
    rows = dict(zip(["eng", "deu", "eus", "kor", "ekk"], range(5), strict=True))
    return Uriel(rows, features, typology, lineage, places)


def between(one, other):
    return made().distances(Language.parse(one), Language.parse(other))


def angle(one, other):
    return 2 / np.pi * np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_a_distance_is_the_angle_over_what_both_are_known_in():
    world, found = made(), between("en", "de")
    both = world.typology[1] >= 0
    for kind, begins in (("syntactic", "S_"), ("phonological", "P_"), ("inventory", "INV_"), ("featural", "")):
        own = both & np.array([name.startswith(begins) for name in world.features])
        if own.sum() < 10:
            assert (kind, found[kind]) == ("syntactic", None)
        else:
            one, other = (world.typology[row, own].astype(float) for row in (0, 1))
            assert found[kind] == pytest.approx(angle(one, other))
    assert found["genetic"] == pytest.approx(2 / np.pi * np.arccos(2 / np.sqrt(3 * 4)))
    assert found["geographic"] == pytest.approx(angle(*world.places[:2].astype(float)), abs=1e-6)


def test_isolates_and_what_is_unknown():
    assert between("eu", "ko")["genetic"] == 1
    assert between("eu", "eu") == dict.fromkeys(KINDS, 0.0) | {"syntactic": None}
    assert between("en", "et") == dict.fromkeys(KINDS) | {"genetic": 1.0}
    assert between("en", "fi") == dict.fromkeys(KINDS)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    uriel.load.cache_clear()
    with pytest.raises(IsoglossError, match=r"not installed; in a clone of isogloss: pip install '\.\[uriel\]'"):
        uriel.load()


@pytest.mark.slow
def test_it_is_what_the_package_says(monkeypatch, tmp_path):
    package = pytest.importorskip("urielplus.urielplus")
    kept = []
    original = package.URIELPlus
    monkeypatch.setattr(package, "URIELPlus", lambda: kept.append(original()) or kept[0])
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path))
    uriel.load.cache_clear()
    root = logging.getLogger()
    before = root.level, root.handlers[:], logging.root.manager.disable
    world = uriel.load()
    assert (root.level, root.handlers[:], logging.root.manager.disable) == before
    codes = {
        "en": "stan1293",
        "de": "stan1295",
        "fi": "finn1318",
        "zh": "mand1415",
        "quy": "ayac1239",
        "hr": "sout1528",
    }
    logging.disable(logging.INFO)
    for one, other in (("en", "de"), ("en", "fi"), ("en", "zh"), ("quy", "hr"), ("fi", "en")):
        found = world.distances(Language.parse(one), Language.parse(other))
        for kind, value in found.items():
            if value is not None:
                assert value == pytest.approx(kept[0].new_distance(kind, codes[one], codes[other]), abs=1e-4)
        assert found["syntactic"] is not None
    logging.disable(logging.NOTSET)
    uriel.load.cache_clear()
    assert uriel.load().distances(Language.parse("fi"), Language.parse("en")) == found
    uriel.load.cache_clear()
