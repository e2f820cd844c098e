"""Languages without labels: predicted as if they had them, and in no score."""

import random
from dataclasses import replace

import polars as pl
import pytest

from isogloss.api import analyze, export, report, run
from isogloss.cli.dry_run import describe
from isogloss.cli.inspect_data import look
from isogloss.errors import IsoglossError
from isogloss.experiment.data import languages, open_spec, read_data
from isogloss.experiment.opened_run import OpenedRun
from isogloss.experiment.provenance import resolved_spec
from isogloss.experiment.status import run_status
from isogloss.reports.score_table import ScoreTable
from isogloss.run_directory.damage import DamagedError
from isogloss.runtime.console import PlainConsole, out
from isogloss.spec import Spec
from isogloss.store import Store
from models import WORDS, checkpoint, sib200

CODES = ("eng_Latn", "deu_Latn", "fra_Latn", "swh_Latn", "xho_Latn")
WITHOUT = ["swh-Latn", "xho-Latn"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOGLOSS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlabelled")
    sib200(folder / "sib200", CODES)
    checkpoint(folder / "model")
    return folder


def spec(folder, **changes):
    given = {
        "name": "unlabelled", "backbone": str(folder / "model"), "task": "sib200",
        "data": {"path": folder / "sib200"}, "dtype": "float32", "device": "cpu", "seeds": [0, 1],
        "methods": {"linear-probe": {"epochs": 2}, "deep-prompt": {"epochs": 1, "length": 2}},
    }  # fmt: skip
    return Spec.model_validate({**given, **changes})


@pytest.fixture(scope="module")
def whole(folder):
    """A run of which all languages are scored."""
    run(spec(folder), folder / "whole")
    return Store(folder / "whole")


@pytest.fixture(scope="module")
def done(folder):
    """The same, but for two languages whose labels are not looked at."""
    run(spec(folder, unlabelled=["xh", "sw"]), folder / "run")
    return folder / "run"


def without(table):
    return table.filter(~pl.col("language").is_in(WITHOUT))


def test_predictions_are_those_of_targets_to_the_bit_and_gold_is_null(whole, done):
    stored = Store(done)
    before, now = whole.table("predictions"), stored.table("predictions")
    assert now.drop("gold").equals(before.drop("gold"))
    assert without(now).equals(without(before))
    assert now.filter(pl.col("language").is_in(WITHOUT))["gold"].is_null().all()
    for one, other in zip(whole.finished(), stored.finished(), strict=True):
        assert one.table("confidence").equals(other.table("confidence"))


def test_scores_are_those_of_the_others(whole, done):
    assert Store(done).table("scores").equals(without(whole.table("scores")))
    assert all(cell.record.unlabelled == WITHOUT for cell in Store(done).finished())


def test_the_resolved_spec_names_them_and_makes_the_same_run_again(done):
    resolved = Store(done).known_spec()
    assert (resolved.targets, resolved.unlabelled) == (["deu-Latn", "fra-Latn"], WITHOUT)
    before = Store(done).table("predictions")
    run(resolved, done)
    assert Store(done).table("predictions").equals(before)
    assert Store(done).known_spec() == resolved


def test_tables_say_that_there_are_no_labels(done, whole):
    table, every = str(ScoreTable(Store(done))), str(ScoreTable(whole))
    lines = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    assert all(lines[name].count("no labels") == 2 for name in ("Swahili", "Xhosa"))
    assert "mean of 2 targets" in table
    assert "no labels" not in every


def test_means_gaps_and_differences_are_without_them(done, folder):
    """What analyses say is what they say of a run that never had these languages."""
    run(spec(folder, targets=["de", "fr"]), folder / "fewer")
    names = ["gap", "significance"]
    for one in (done, folder / "fewer"):
        list(analyze(one, *names))
    for title in ("gap", "gap-intervals", "scores-intervals", "significance", "significance-mixed"):
        of_both = [pl.read_parquet(one / "analysis" / f"{title}.parquet") for one in (done, folder / "fewer")]
        assert of_both[0].equals(of_both[1]), title


def test_the_report_has_a_section_of_them_and_says_what_cannot_be_said(done):
    page = report(done).read_text(encoding="utf-8")
    assert "Languages without labels" in page
    assert "Predicted without labels, and in no score, mean or gap: Swahili, Xhosa." in page
    assert "2 target languages have labels, and it takes 5" in page
    csv = pl.read_csv(done / "report" / "signs.csv")
    assert set(csv.filter(labels="no labels")["language"]) == set(WITHOUT)
    assert set(csv.filter(labels="scored")["language"]) == {"deu-Latn", "fra-Latn"}
    shown = pl.read_csv(done / "report" / "languages.csv")
    assert set(WITHOUT).isdisjoint(shown["language"])


@pytest.mark.usefixtures("whole")
def test_all_else_that_reads_the_store_copes(done, folder):
    assert len(OpenedRun.of(done).data.predicted) == len(CODES)
    assert not any(cell.lacking for cell in run_status(done, lambda _: []).cells)
    list(analyze(done, "tokenization"))
    measured = pl.read_parquet(done / "analysis" / "tokenization.parquet")
    assert set(WITHOUT) < set(measured["language"])
    export(done, folder / "exported", to="transformers", method="linear-probe")
    text = (folder / "exported" / "README.md").read_text(encoding="utf-8")
    assert "nothing is known of how well it does there, were Swahili, Xhosa." in text
    for name in ("mteb", "lm-eval", "every-eval-ever"):
        export(done, folder / name, to=name)
        files = list((folder / name).rglob("*.json"))
        assert files
        assert not any(code in file.read_text() for file in files for code in ("swh-Latn", "swh_Latn", "xho-Latn"))
    report([done, folder / "whole"], out=folder / "comparison.html")


def test_a_language_is_added_later(folder):
    given = spec(folder, targets=["de"], methods={"linear-probe": {"epochs": 1}})
    run(given, folder / "later")
    run(given.model_copy(update={"unlabelled": ["swh-Latn"]}), folder / "later")
    stored = Store(folder / "later")
    assert set(stored.table("predictions")["language"]) == {"eng-Latn", "deu-Latn", "swh-Latn"}
    assert set(stored.table("scores")["language"]) == {"eng-Latn", "deu-Latn"}
    assert stored.known_spec().unlabelled == ["swh-Latn"]
    with pytest.raises(IsoglossError, match=r"has predicted swh-Latn without labels, which are there now: choose"):
        run(given.model_copy(update={"targets": ["de", "sw"]}), folder / "later")
    with pytest.raises(IsoglossError, match=r"has scored deu-Latn, which is without labels now"):
        run(given.model_copy(update={"targets": ["fr"], "unlabelled": ["deu-Latn"]}), folder / "later")


def test_what_was_only_begun_may_still_be_meant_otherwise(folder, tmp_path):
    given = spec(folder, targets=["de", "sw"], methods={"linear-probe": {"epochs": 1}}, seeds=[0])
    Store(tmp_path / "run").begin(resolved_spec(given, read_data(given)), {})
    run(given.model_copy(update={"targets": ["de"], "unlabelled": ["swh-Latn"]}), tmp_path / "run")
    stored = Store(tmp_path / "run").known_spec()
    assert (stored.targets, stored.unlabelled) == (["deu-Latn"], ["swh-Latn"])
    assert len(OpenedRun.of(tmp_path / "run").data.unlabelled) == 1


def test_looking_on_takes_labelled_examples_alone(folder, tmp_path):
    """Of a target whose development data have no labels, test examples are looked at."""
    sib200(tmp_path / "sib200", CODES)
    for file in (tmp_path / "sib200").glob("[ds]*/*.tsv"):
        if (file.parent.name, file.stem) in {("deu_Latn", "dev"), ("swh_Latn", "test")}:
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join("\t".join(line.split("\t")[::2]) for line in lines))
    read = read_data(spec(folder, data={"path": tmp_path / "sib200"}, dynamics={"every": 2, "examples": 4}))
    seen = {str(part.language): part for part in read.watched}
    assert set(seen) == {"eng-Latn", "deu-Latn", "fra-Latn", "xho-Latn"}
    assert seen["deu-Latn"].split == "test"
    assert seen["fra-Latn"].split == "dev"
    assert all(part.labelled for part in read.watched)


def test_a_record_that_names_others_is_damaged(done):
    (cell, *_) = Store(done).finished()
    with pytest.raises(DamagedError, match="unlabelled: 'zul-Latn' is not in test_data"):
        replace(cell, record=cell.record.model_copy(update={"unlabelled": ["zul-Latn"]})).checked()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unlabelled": ["en"]}, "unlabelled: en.* is the source, which needs its labels"),
        ({"unlabelled": ["sw"], "targets": ["sw", "de"]}, "unlabelled: swh-Latn is also in targets; leave it out"),
        ({"unlabelled": ["family:Atlantic-Congo"], "targets": ["sw"]}, "as a language of family:Atlantic-Congo"),
        (
            {"unlabelled": ["zu"]},
            "unlabelled: unknown language of sib200|unlabelled: sib200 has no data|has no data of",
        ),
        ({"unlabelled": ["sw", "swa"]}, "unlabelled: 'sw' and 'swa' are both swh-Latn"),
    ],
)
def test_what_contradicts_itself_is_refused(folder, changes, message):
    with pytest.raises(IsoglossError, match=message):
        read_data(spec(folder, **changes))


def test_groups_mean_what_is_left_of_them(folder):
    data = open_spec(spec(folder))
    meant = languages(spec(folder, unlabelled=["family:Atlantic-Congo"]), data)
    assert [str(one) for one in meant.unlabelled if str(one) in WITHOUT] == WITHOUT
    assert not set(meant.targets) & set(meant.unlabelled)
    group = languages(spec(folder, targets=["family:Atlantic-Congo", "de"], unlabelled=["sw"]), data)
    assert "xho-Latn" in map(str, group.targets)
    assert "swh-Latn" not in map(str, group.targets)


def test_a_source_without_labels_is_an_error(folder, tmp_path):
    sib200(tmp_path / "sib200", ("eng_Latn", "deu_Latn"))
    file = tmp_path / "sib200" / "eng_Latn" / "test.tsv"
    file.write_text("".join("\t".join(line.split("\t")[::2]) for line in file.read_text().splitlines(keepends=True)))
    with pytest.raises(IsoglossError, match="has no column 'category'"):
        read_data(spec(folder, data={"path": tmp_path / "sib200"}))


def test_files_without_the_column_are_found_said_and_shown(folder, tmp_path, capsys):
    sib200(tmp_path / "sib200", ("eng_Latn", "deu_Latn", "swh_Latn"))
    file = tmp_path / "sib200" / "swh_Latn" / "test.tsv"
    file.write_text("".join("\t".join(line.split("\t")[::2]) for line in file.read_text().splitlines(keepends=True)))
    given = spec(folder, data={"path": tmp_path / "sib200"}, methods={"linear-probe": {"epochs": 1}}, seeds=[0])
    with out.capture() as captured:
        describe(given, tmp_path / "run")
    assert "1 other language\n" in captured.get()
    assert "no labels, so predicted and not scored: Swahili (swh-Latn)" in captured.get()
    run(given, tmp_path / "run")
    assert "no labels, so predicted and not scored: Swahili (swh-Latn)" in " ".join(capsys.readouterr().err.split())
    assert Store(tmp_path / "run").known_spec().unlabelled == ["swh-Latn"]
    console = PlainConsole(width=100)
    with console.capture() as captured:
        for part in look("sib200", tmp_path / "sib200", "sw"):
            console.print(part)
    assert "no labels in test: it can be predicted, and not scored" in captured.get()


def test_with_no_label_but_the_sources_there_is_still_a_table_and_a_report(folder, tmp_path):
    given = spec(folder, targets=["de"], methods={"linear-probe": {"epochs": 1}}, seeds=[0])
    run(given.model_copy(update={"targets": [], "unlabelled": ["swh-Latn"]}), tmp_path / "run")
    assert "no labels" in str(ScoreTable(Store(tmp_path / "run")))
    assert "no target language has labels" in report(tmp_path / "run").read_text(encoding="utf-8")


def examples(kind, count, seed, *, labelled):
    """Frames as a user has them."""
    generator, rows = random.Random(seed), []  # noqa: S311 - no secret
    for number in range(count):
        words = generator.choices(WORDS, k=6)
        text = {"text": " ".join(words), "label": "ab"[number % 2]}
        row = {
            "classification": text, "pairs": {**text, "second": words[0]},
            "tagging": {"words": words, "labels": ["B-X" if word in {"cat", "dog", "the"} else "O" for word in words]},
            "qa": {"question": words[0], "passage": " ".join(words), "answers": [words[3]]},
        }[kind]  # fmt: skip
        rows.append(row if labelled else {k: v for k, v in row.items() if k not in {"label", "labels", "answers"}})
    return rows


@pytest.mark.parametrize("kind", ["classification", "pairs", "tagging", "qa", "words as classes"])
def test_every_kind_of_task_predicts_what_it_would_with_labels(folder, tmp_path, kind):
    methods = {"linear-probe": {"epochs": 1}}
    changes, shape = {}, kind
    if kind == "words as classes":
        from decoders import whole as decoder

        shape, methods = "classification", {"soft-prompt": {"epochs": 1, "length": 2, "head": "verbalizer"}}
        words = {"eng-Latn": {"a": "cat", "b": "dog"}, "swh-Latn": {"a": "sun", "b": "moon"}}
        changes = {"backbone": str(decoder(tmp_path / "decoder", "xglm")), "verbalizer": {"words": words}}
    given = spec(folder, task="custom", source="en", data={}, methods=methods, seeds=[0], **changes)
    made = []
    for labelled in (True, False):
        data = {
            "test": {"sw": examples(shape, 10, 1, labelled=labelled), "en": examples(shape, 8, 2, labelled=True)},
            "train": {"en": examples(shape, 16, 3, labelled=True)},
            "dev": {"en": examples(shape, 8, 4, labelled=True)},
        }
        made.append(run(given, tmp_path / f"{labelled}", data=data))
    full, bare = made
    assert bare.predictions.drop("gold").equals(full.predictions.drop("gold"))
    assert bare.predictions["gold"].null_count() == 10
    assert set(bare.scores["language"]) == {"eng-Latn"}
    assert bare.scores.equals(full.scores.filter(language="eng-Latn"))
