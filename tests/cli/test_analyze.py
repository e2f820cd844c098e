"""`isogloss analyze` goes on where one analysis does not apply, and tells at the end what failed."""

import pytest

from isogloss.analysis.registry import analyses
from isogloss.cli import commands
from isogloss.errors import IsoglossError
from synthetic import directory


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return directory(tmp_path_factory.mktemp("analyze") / "run", targets=3, seeds=2, examples=12)


@pytest.fixture
def analyze(folder, capsys, monkeypatch):
    def analyze(*names):
        monkeypatch.setattr("sys.argv", ["isogloss", "analyze", str(folder), *names, "--quiet"])
        with pytest.raises(SystemExit) as ended:
            commands.main()
        return ended.value.code, *capsys.readouterr()

    return analyze


def test_one_that_does_not_apply_is_said_and_the_others_are_made(analyze, folder):
    code, out, err = analyze("dynamics", "gap")
    assert (code, err) == (0, "")
    assert "dynamics: left out; nothing was looked at in training" in out
    assert out.endswith(f"tables and figures in {folder / 'analysis'}\n")
    assert (folder / "analysis" / "gap.parquet").is_file()


def test_a_failure_is_told_at_the_end(analyze, folder, monkeypatch):
    def broken(*_):
        raise IsoglossError("its data is damaged")

    monkeypatch.setitem(analyses(), "boundary", type("Broken", (), {"find": staticmethod(broken)}))
    (folder / "analysis" / "gap.parquet").unlink(missing_ok=True)
    code, out, err = analyze("boundary", "dynamics", "gap")
    assert code == 2
    assert err == "isogloss: boundary: its data is damaged\n"
    assert "boundary: failed" in out
    assert "dynamics: left out" in out
    assert (folder / "analysis" / "gap.parquet").is_file()


def test_where_none_applies_that_was_asked_for_it_is_a_mistake(analyze):
    code, out, err = analyze("dynamics")
    assert code == 2
    assert err.startswith("isogloss: dynamics: nothing was looked at in training")
    assert "tables and figures" not in out


@pytest.mark.parametrize(("words", "said"), [([], "tasks, methods"), (["taks"], "did you mean 'tasks'? known: back")])
def test_list_names_its_choices(words, said, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["isogloss", "list", *words])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
