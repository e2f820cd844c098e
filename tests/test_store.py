"""The run directory, without any training."""

import pickle
import shutil

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from rich.console import Console
from safetensors.torch import save_file

from isogloss.errors import IsoglossError
from isogloss.reports.score_table import score_tables
from isogloss.run_directory.record import write_record
from isogloss.store import (
    HISTORY,
    PREDICTIONS,
    SCORES,
    DamagedError,
    FinishedCell,
    RunRecord,
    Store,
    StoredWeights,
    in_order,
    rows,
    safe_name,
)
from synthetic import RECORD, resolved

COMMON = {"backbone": "b", "task": "t", "source": "eng-Latn"}
BY_HAND = {  # method: seed: language: test accuracy
    "one": {
        0: {"eng-Latn": 0.9, "deu-Latn": 0.8, "zho-Hans": 0.4}, 1: {"eng-Latn": 0.7, "deu-Latn": 0.4, "zho-Hans": 0.2},
    },
    "two": {0: {"eng-Latn": 0.5, "deu-Latn": 0.5, "zho-Hans": 0.1, "fra-Latn": 1.0}},
}  # fmt: skip


def finish(store, method, seed, values):
    score = {**COMMON, "method": method, "seed": seed, "split": "test", "metric": "accuracy", "n": 10}
    scores = [{**score, "language": code, "value": value} for code, value in values.items()]
    scores.append({**score, "language": "eng-Latn", "split": "dev", "value": 0.5})
    named = {"method": method, "seed": seed}
    predictions = [{**named, "language": code, "split": "test", "example": "1"} for code in values]
    tables = {
        "scores": rows(SCORES, scores),
        "predictions": rows(PREDICTIONS, predictions),
        "history": rows(HISTORY, []),
    }
    counts = {"trainable_parameters": 5, "backbone_parameters": 1000}
    record = RunRecord(**{**RECORD, **named, **counts, "test_data": dict.fromkeys(values, "x")})
    store.put(FinishedCell(record, {}, tables))


@pytest.fixture
def stored(tmp_path):
    store = Store(tmp_path / "run")
    store.begin(resolved(methods={"two": {}, "one": {}}), {})
    for method, seeds in BY_HAND.items():
        for seed, values in seeds.items():
            finish(store, method, seed, values)
    store.gather()
    return store


def shown(table):
    columns = [list(column.cells) for column in table.columns]
    return {row[0]: [str(cell) for cell in row[2:]] for row in zip(*columns, strict=True)}


def test_means_deviations_and_gaps_by_hand(stored):
    (table,) = score_tables(stored)
    assert [str(column.header) for column in table.columns] == ["language", "code", "two", "one"]
    found = shown(table)
    # Over the targets that every method has with every seed: two (.5 + .1) / 2; one (.8 + .4) / 2 and (.4 + .2) / 2.
    assert found["English"] == ["0.500", "0.800 ± 0.141"]
    assert found["French"] == ["1.000", "-"]
    assert found["mean of 2 targets"] == ["0.300", "0.450 ± 0.212"]
    assert found["gap"] == ["0.200", "0.350 ± 0.071"]
    assert found["trainable parameters"] == ["5", "5"]
    assert found["of the backbone"] == ["0.500%", "0.500%"]
    assert "over 1 to 2 seeds" in str(table.caption)


def test_what_does_not_fit_a_line_stands_in_a_table_below(stored):
    for method in ("b", "c", "d"):
        finish(stored, method, 0, BY_HAND["one"][0])
        finish(stored, method, 1, BY_HAND["one"][1])
    stored.gather()
    tables = score_tables(stored, 80)
    names = [[str(column.header) for column in table.columns] for table in tables]
    assert names == [["language", "code", "two", "one", "b"], ["language", "code", "c", "d"]]
    assert [table.row_count for table in tables] == [4 + 4, 4 + 4]
    assert [table.title is None for table in tables] == [False, True]
    assert [table.caption is None for table in tables] == [True, False]
    console = Console(width=80)
    for table in tables:
        with console.capture() as capture:
            console.print(table)
        lines = capture.get().splitlines()
        assert sum("0.800 ± 0.141" in line for line in lines) == 1  # nothing is broken into two lines
        assert max(map(len, lines)) <= 80
    assert len(score_tables(stored, 10)) == 5  # one method a table is the least


def test_groups_have_averages_of_their_own(stored):
    groups = ["script:Latn", "family:Sino-Tibetan", "low-resource"]
    stored.begin(resolved(methods={"two": {}, "one": {}}, groups=groups), {})
    found = shown(*score_tables(stored))
    assert found["mean of 1 script:Latn"] == ["0.500", "0.600 ± 0.283"]  # German; French is not common to all
    assert found["mean of 1 family:Sino-Tibetan"] == ["0.100", "0.300 ± 0.141"]
    assert found["mean of 0 low-resource"] == ["-", "-"]


def test_a_language_that_one_seed_lacks_is_in_no_average(stored):
    finish(stored, "two", 1, {"eng-Latn": 0.5, "deu-Latn": 0.5})
    stored.gather()
    assert shown(*score_tables(stored))["mean of 1 target"] == ["0.500 ± 0.000", "0.600 ± 0.283"]


def test_a_method_that_the_spec_no_longer_names_stands_last(stored):
    finish(stored, "strange", 0, BY_HAND["one"][0])
    stored.gather()
    (table,) = score_tables(stored)
    assert str(table.columns[-1].header) == "strange"


def test_languages_whose_scoring_was_cut_off_are_written_once(stored):
    """A process that dies between the tables and `run.json` leaves rows that the next one must not double."""
    cell = next(cell for cell in stored.finished() if cell.key == ("one", 0))
    write_record(cell.folder / "run.json", cell.record.model_copy(update={"tables_sha256": {}}))
    new = cell.table("scores").filter(language="deu-Latn").with_columns(language=pl.lit("fra-Latn"))
    half = new.with_columns(value=pl.lit(0.123))
    pl.concat([cell.table("scores"), half]).write_parquet(cell.folder / "scores.parquet")
    stored.gather()
    assert "fra-Latn" not in stored.table("scores").filter(method="one")["language"]
    record = cell.record.model_copy(update={"test_data": {"fra-Latn": "x"}, "truncated": {"test": 1}})
    predictions = cell.table("predictions").filter(language="deu-Latn").with_columns(language=pl.lit("fra-Latn"))
    stored.put(FinishedCell(record, None, {"scores": new, "predictions": predictions}))
    stored.gather()
    assert stored.table("scores").filter(method="one", language="fra-Latn")["value"].to_list() == new["value"].to_list()


@pytest.mark.parametrize("name", ["scores", "predictions", "history"])
def test_a_table_with_one_flipped_bit_is_refused_whatever_it_says(stored, name):
    cell = stored.finished()[0]
    file = cell.folder / f"{name}.parquet"
    whole = file.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 50)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DamagedError, match=f"{name}.parquet .* is not the file that was written"):
            cell.table(name)
    file.write_bytes(whole)
    cell.table(name)


def test_languages_may_be_added_while_a_cell_is_looked_at(stored):
    seen = next(cell for cell in stored.finished() if cell.key == ("one", 0))
    scores = seen.table("scores")
    new = {name: seen.table(name).filter(language="deu-Latn").with_columns(language=pl.lit("fra-Latn"))
           for name in ("scores", "predictions")}  # fmt: skip
    stored.put(FinishedCell(seen.record.model_copy(update={"test_data": {"fra-Latn": "x"}}), None, new))
    assert_frame_equal(seen.table("scores"), scores)
    now = stored.has("one", 0)
    assert len(now.table("scores")) > len(scores)
    assert all(len(hashes) == 1 for hashes in now.record.tables_sha256.values())


def test_unlike_labels_have_unlike_folders():
    labels = ["a", "a[length=2]", "a[words=猫]", "a[words=犬]", "a[words=b c]", "a[words=b_c]", "a" * 300, "a" * 301]
    assert len({safe_name(label) for label in labels}) == len(labels)
    assert safe_name("deep-prompt[length=16,lr=0.01]") == "deep-prompt_length=16,lr=0.01_"
    assert max(len(safe_name(label).encode()) for label in labels) < 200


def test_a_folder_with_nothing_but_dot_files_is_new(tmp_path):
    (tmp_path / ".DS_Store").touch()
    Store(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(IsoglossError, match="did not write"):
        Store(tmp_path)


def test_a_second_process_that_begins_keeps_the_first_ones_methods():
    from isogloss.experiment.provenance import _with_old_variants

    old = {"a": {"lr": [1, 2], "epochs": 3}, "b": {}}
    assert _with_old_variants({"a": {"lr": [2, 5], "epochs": 3}}, old) == {"a": {"lr": [1, 2, 5], "epochs": 3}}


def test_what_is_no_run_json_is_named(stored):
    cell = stored.finished()[0]
    (cell.folder / "run.json").write_text("[]")
    with pytest.raises(IsoglossError, match=r"run\.json is not what isogloss writes there"):
        stored.finished()


def record(label, **settings):
    return RunRecord(**{**RECORD, "method": label, "facts": {"settings": settings}})


def test_variants_stand_in_the_order_of_their_values():
    records = [
        record("a[length=16,lr=0.001]", length=16, lr=0.001), record("a[length=16,lr=1e-05]", length=16, lr=1e-5),
        record("a[length=8,lr=0.1]", length=8, lr=0.1), record("b[init=words]", init="words"), record("a"), record("b"),
    ]  # fmt: skip
    assert in_order(records, ["b", "a"]) == [
        "b", "b[init=words]", "a", "a[length=8,lr=0.1]", "a[length=16,lr=1e-05]", "a[length=16,lr=0.001]",
    ]  # fmt: skip


def test_a_record_of_before_names_and_variants_has_them_from_its_label():
    old = record("deep[length=16,lr=0.01]", length=16, lr=0.01, epochs=3)
    assert (old.name, old.variant) == ("deep", {"length": 16, "lr": 0.01})
    assert record("deep-prompt").variant == {}


def test_a_second_identical_cell_is_dropped_and_another_one_refused(stored):
    cell = next(cell for cell in stored.finished() if cell.key == ("one", 0))
    before = {path: path.read_bytes() for path in cell.folder.iterdir()}
    finish(stored, "one", 0, {"eng-Latn": 0.1})
    assert {path: path.read_bytes() for path in cell.folder.iterdir()} == before
    other = cell.record.model_copy(update={"facts": {"settings": {"lr": 1}}})
    with pytest.raises(IsoglossError, match="made differently meanwhile"):
        stored.put(FinishedCell(other, {}, {}))
    assert {path: path.read_bytes() for path in cell.folder.iterdir()} == before


def test_languages_cannot_be_added_to_a_cell_that_is_gone(stored):
    cell = stored.finished()[0]
    shutil.rmtree(cell.folder)
    with pytest.raises(IsoglossError, match="is gone"):
        stored.put(FinishedCell(cell.record, None, {}))


def test_stored_weights_are_read_when_they_are_asked_for_and_sent_as_tensors(tmp_path):
    save_file({"part.prompt": torch.ones(2), "head.bias": torch.zeros(3)}, tmp_path / "weights.safetensors")
    weights = StoredWeights(tmp_path / "weights.safetensors")
    assert set(weights) == {"part.prompt", "head.bias"}
    assert len(weights) == 2
    assert "head.weight" not in weights
    sent = pickle.loads(pickle.dumps(weights))  # noqa: S301 - our own
    (tmp_path / "weights.safetensors").unlink()
    assert type(sent) is dict
    assert torch.equal(sent["part.prompt"], torch.ones(2))
    with pytest.raises(FileNotFoundError):
        weights["part.prompt"]


def test_a_folder_is_the_cell_that_its_record_names_or_nothing(stored, capfd):
    cell = stored.finished()[0]
    scores = stored.table("scores")
    shutil.copytree(cell.folder, cell.folder.with_name("7"))
    shutil.copytree(cell.folder, cell.folder.with_name("0 (copy)"))
    shutil.copytree(cell.folder.parent, cell.folder.parent.with_name("other"))
    again = Store(stored.path)
    again.gather()
    assert_frame_equal(again.table("scores"), scores)
    said = capfd.readouterr().err
    assert all(f"{name} is left out" in said for name in ("one/7", "one/0 (copy)", "other/0", "other/1"))
    again.finished()
    assert capfd.readouterr().err == ""  # once is enough
    assert again.has("one", 7) is None
    finish(again, "one", 7, BY_HAND["one"][0])  # its own place is cleared for it
    assert "7 held no finished cell" in capfd.readouterr().err
    assert again.has("one", 7) is not None
    (stored.path / "weights" / "three").write_text("a file where the folder of a method should be")
    finish(again, "three", 0, BY_HAND["one"][0])
    assert again.has("three", 0) is not None


def test_tables_that_were_not_gathered_are_made_of_the_cells(stored):
    whole = {name: stored.table(name) for name in ("scores", "predictions", "history")}
    finish(stored, "two", 1, BY_HAND["two"][0])  # and killed before they were
    more = stored.table("scores")
    assert set(more["seed"].unique()) == {0, 1}
    assert len(more) > len(whole["scores"])
    for damage in (b"", b"PAR1", (stored.path / "predictions.parquet").read_bytes()):
        (stored.path / "scores.parquet").write_bytes(damage)
        assert_frame_equal(stored.table("scores"), more)
    stored.snapshot().mend()
    assert_frame_equal(pl.read_parquet(stored.path / "scores.parquet"), more)


def test_a_snapshot_does_not_see_what_is_finished_later(stored):
    before = stored.snapshot()
    scores = stored.table("scores")
    finish(stored, "two", 1, BY_HAND["two"][0])
    finish(stored, "two", 0, {**BY_HAND["two"][0], "swh-Latn": 0.5})
    stored.gather()
    assert before.outdated
    assert_frame_equal(before.table("scores"), scores)
    assert set(before.table("predictions")["language"]) == {"eng-Latn", "deu-Latn", "zho-Hans", "fra-Latn"}
    assert len(stored.table("scores")) == len(scores) + 6


def test_what_was_trained_is_what_is_loaded(stored, tmp_path):
    store = Store(tmp_path / "weights")
    cell = stored.finished()[0]
    tables = {name: cell.table(name) for name in ("scores", "predictions", "history")}
    store.put(FinishedCell(cell.record, {"head.bias": torch.tensor([0.5, 1.0])}, tables))
    (kept,) = store.finished()
    assert torch.equal(kept.weights()["head.bias"], torch.tensor([0.5, 1.0]))
    file = kept.folder / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(IsoglossError, match=r"weights\.safetensors is not what .* delete the folder"):
        StoredWeights(file, kept.record.weights_sha256)["head.bias"]
    save_file({"head.bias": torch.tensor([float("nan"), 1.0])}, file)
    with pytest.raises(IsoglossError, match="NaN"):
        StoredWeights(file)["head.bias"]


def test_a_folder_without_a_record_is_put_aside(stored):
    cell = stored.finished()[0]
    whole = FinishedCell(cell.record, {}, {name: cell.table(name) for name in ("scores", "predictions", "history")})
    for aside in ("0.damaged", "0.damaged-2"):
        (cell.folder / "run.json").unlink()
        assert cell.key not in {other.key for other in stored.finished()}
        stored.put(whole)
        assert (cell.folder / "run.json").is_file()
        assert (cell.folder.with_name(aside) / "scores.parquet").is_file()
    assert len(stored.finished()) == 3


def test_nothing_is_written_through_a_link_that_leads_outside(stored, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = stored.path / "analysis"
    inside.symlink_to(outside)
    with pytest.raises(IsoglossError, match=r"analysis is a link that leads out of the run directory"):
        Store(stored.path).gather()
    inside.unlink()
    (tmp_path / "here").symlink_to(stored.path)  # the directory itself may be reached through one
    Store(tmp_path / "here").gather()
    assert list(outside.iterdir()) == []


def test_brackets_in_a_path_are_no_pattern(stored, tmp_path):
    shutil.copytree(stored.path, tmp_path / "x[1]")
    other = Store(tmp_path / "x1")
    other.begin(resolved(methods={"two": {}}), {})
    finish(other, "two", 0, {"eng-Latn": 0.123})
    other.gather()
    assert_frame_equal(Store(tmp_path / "x[1]").table("scores"), stored.table("scores"))


def test_another_processs_test_data_are_not_mixed_in(stored):
    cell = next(cell for cell in stored.finished() if cell.key == ("one", 0))
    record = cell.record.model_copy(update={"test_data": {"eng-Latn": "y", "swh-Latn": "x"}})
    with pytest.raises(IsoglossError, match="made differently meanwhile"):
        stored.put(FinishedCell(record, {}, {}))
