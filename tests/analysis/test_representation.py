"""Source and target states before and after, of small runs."""

import numpy as np
import polars as pl
import pytest
import torch

from isogloss.analysis.analysis import AnalysisOptions
from isogloss.analysis.representation import ANALYSIS, NAMES, SCHEMA, measures
from isogloss.analysis.run import charts_of
from isogloss.api import run
from isogloss.errors import IsoglossError
from isogloss.experiment.opened_run import OpenedRun
from isogloss.spec import Spec
from isogloss.stats.similarity import linear_cka
from models import checkpoint, sib200

SENTENCES = 6
METHODS = {
    "linear-probe": {"epochs": 1},
    "soft-prompt": {"epochs": 1, "length": 3, "lr": 0.5},
    "deep-prompt": {"epochs": 1, "length": 2, "lr": 0.5},
    "fine-tuning": {"epochs": 1, "lr": 1e-2},
}


@pytest.fixture(scope="module")
def opened_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    spec = Spec(
        name="small", backbone=str(checkpoint(folder / "model")), task="sib200", data={"path": sib200(folder / "data")},
        seeds=[0, 1], dtype="float32", device="cpu", methods=METHODS,
    )  # fmt: skip
    run(spec, folder / "out")
    return OpenedRun.of(folder / "out")


@pytest.fixture(scope="module")
def found(opened_run):
    return ANALYSIS.find(opened_run, AnalysisOptions(sentences=SENTENCES))


def test_only_what_a_head_stands_on_stays(found, opened_run):
    table = found.tables["representation"]
    assert table.schema == pl.Schema(SCHEMA)
    assert set(table["sentences"]) == {SENTENCES}
    assert sorted(set(table["depth"])) == [0, 1, 2, 3]
    cka = table.filter(measure="cka")
    assert set(cka["language"]) == {"deu-Latn", "zho-Hans"}
    assert set(table.filter(measure="isotropy")["language"]) == {"eng-Latn", "deu-Latn", "zho-Hans"}
    deepest = cka.filter(pl.col("depth") == 3)
    for (method,), own in deepest.group_by("method"):
        assert (own["before"] == own["after"]).all() == (method == "linear-probe"), method
    for _, own in cka.group_by("depth", "language"):
        assert own["before"].n_unique() == 1  # of the same pre-trained model
    charts = charts_of(ANALYSIS, opened_run, AnalysisOptions(), found.tables)
    assert set(charts) == {"representation"}


def test_values_are_those_of_states_taken_one_by_one(opened_run, found):
    """The mean state of each sentence's tokens, sentence by sentence, without any stream or memory."""
    table = found.tables["representation"].filter(method="fine-tuning", seed=1)
    stored = next(stored for cell, stored in opened_run.cells if cell.key == ("fine-tuning", 1))
    stack = opened_run.stack(stored)
    tests = {str(test.language): test.table["text"][:SENTENCES].to_list() for test in opened_run.data.tests}
    for model, when in ((stack.backbone, "after"), (opened_run.backbone, "before")):
        states = {}
        for code, texts in tests.items():
            features = opened_run.task.unlabelled([[text] for text in texts], model.tokenizer, last=False, longest=None)
            made = []
            for row in range(SENTENCES):
                tokens = torch.from_numpy(features.tokens[slice(*features.starts[row : row + 2])])[None].long()
                with torch.no_grad():
                    layers = model.trace(tokens, torch.ones_like(tokens, dtype=torch.bool))
                    made.append(torch.stack([layer[0].mean(dim=0) for layer in layers]))
            states[code] = torch.stack(made, dim=1)
        for depth in range(4):
            one, other = (states[code][depth] for code in ("eng-Latn", "zho-Hans"))
            own = dict(table.filter(depth=depth, language="zho-Hans").select("measure", when).iter_rows())
            assert own["cka"] == pytest.approx(linear_cka(one, other), abs=1e-4)
            unit = [part.numpy() / np.linalg.norm(part.numpy(), axis=1, keepdims=True) for part in (one, other)]
            cosine = unit[0] @ unit[1].T
            assert own["cosine"] == pytest.approx(np.trace(cosine) / SENTENCES, abs=1e-4)
            others = cosine[~np.eye(SENTENCES, dtype=bool)].mean()
            assert own["cosine-others"] == pytest.approx(others, abs=1e-4)
            assert own["margin"] == pytest.approx(np.trace(cosine) / SENTENCES - others, abs=1e-4)
            values = np.linalg.eigvalsh(np.cov(other.double().numpy().T))
            score = (values.sum() ** 2 / (values**2).sum() - 1) / (len(values) - 1)
            assert own["isotropy"] == pytest.approx(score, abs=1e-4)


def test_the_same_texts_are_as_near_as_can_be():
    states = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(0))
    twice = torch.cat([states, states], dim=1)
    for _, code, measure, value in measures(twice, ["eng-Latn", "deu-Latn"]):
        if measure in {"cka", "retrieval", "cosine"}:
            assert (code, value) == ("deu-Latn", pytest.approx(1))
    assert {measure for _, _, measure, _ in measures(twice, ["a", "b"])} == set(NAMES)


def test_without_parallel_sentences_there_is_nothing_to_see(opened_run, monkeypatch):
    data = opened_run.data.dataset
    monkeypatch.setattr(data, "card", data.card.model_copy(update={"parallel": False}))
    with pytest.raises(IsoglossError, match="give --parallel"):
        ANALYSIS.find(opened_run, AnalysisOptions())
