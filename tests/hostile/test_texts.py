"""Characters that steer a terminal, turn the reading order, end a file's format or are carried out by a spreadsheet."""

import csv
import json
import re
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from isogloss.analysis.analysis import AnalysisResult
from isogloss.analysis.run import keep
from isogloss.reports.files import csv_safe
from isogloss.reports.latex import escape
from isogloss.runtime.visible import json_line, one_line, visible
from isogloss.store import Store
from models import LABELS
from synthetic import directory

ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)
HOSTILE = {
    "colour": "\x1b[31mred",
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;pwned\x07",
    "link": "\x1b]8;;http://x\x1b\\x",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "query": "\x1b[6n",
    "alternate": "\x1b[?1049h",
    "charset": "\x1b(0lqk",
    "reset": "\x1bc",
    "CSI of one byte": "\x9b31mred",
    "OSC of one byte": "\x9d0;x\x9c",
    "backspace": "safe\x08\x08\x08evil",
    "bell": "\x07",
    "delete": "\x7f",
    "shift out": "\x0e",
    "form feed": "a\x0cb",
    "vertical tab": "a\x0bb",
    "next line": "a\x85b",
    "line separator": "a\u2028isogloss: all is well",
    "paragraph": "a\u2029b",
    "override": "\u202egnp.exe",
    "embedding": "\u202aa",
    "isolate": "\u2067a\u2066b\u2069",
    "annotation": "\ufff9a\ufffab\ufffb",
    "no character": "a\uffffb",
    "swapped mark": "a\ufffeb",
    "of Arabic shaping": "\u206d\u206ea",
    "unit separator": "a\x1fb",
}
PLAIN = {
    "Arabic": "\u0645\u0631\u062d\u0628\u0627 (abc)",
    "Hebrew with a mark": "\u05e9\u05dc\u05d5\u05dd\u200f!",
    "combining": "e\u0301",
    "family": "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "flag": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "Sinhala": "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "variant": "\u2764\ufe0f",
    "Thai": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "no-break": "a\u00a0b\u200bc\ufeffd",
    "private": "\ue000",
    "plane 16": "\U0010fffd",
    "tab": "a\tb",
}


def clean(answer):
    """That nothing of the sort reaches the terminal."""
    for stream in (answer.out, answer.err):
        assert not ODD.search(stream), repr(ODD.search(stream))
    return answer


@pytest.mark.parametrize("name", [*HOSTILE, *PLAIN])
def test_what_a_text_holds_is_labelled_and_written_as_json(isogloss, home, name):
    text = f"the {({**HOSTILE, **PLAIN})[name]} cat"
    answer = clean(isogloss("predict", "run", cwd=home, stdin=text.encode() + b"\n"))
    answer.well(code=0)
    (line,) = answer.out.splitlines()
    assert json.loads(line)["text"] == text
    if name in PLAIN and name != "tab":
        assert text in line


@pytest.mark.parametrize("name", HOSTILE)
def test_texts_and_labels_of_a_data_set_are_shown_without_it(isogloss, whole_home, name):
    test = whole_home / "data" / "deu_Latn" / "test.tsv"
    rows = test.read_text().splitlines()
    label = f"{LABELS[0]}{HOSTILE[name]}"
    test.write_text(
        "\n".join([*rows, f"90\t{LABELS[0]}\tthe {HOSTILE[name]} cat"]) + "\n", encoding="utf-8", newline=""
    )
    clean(isogloss("data", "sib200", "--path", "data", "--language", "de", cwd=whole_home)).well()
    test.write_text("\n".join([rows[0], f"90\t{label}\tthe cat"]) + "\n", encoding="utf-8", newline="")
    clean(isogloss("data", "sib200", "--path", "data", "--language", "de", cwd=whole_home)).well("test.tsv", code=2)


@pytest.mark.parametrize("name", HOSTILE)
def test_paths_and_names_in_messages_are_shown_without_it(isogloss, tmp_path, name):
    odd = HOSTILE[name].replace("/", "").replace("\0", "")
    (tmp_path / f"{odd}.yaml").write_text(f"name: x\ntask: {json.dumps(odd)}\nmethods: {{lora: {{}}}}\n")
    for arguments in (
        ["run", f"{odd}.yaml", "--dry-run"],
        ["run", odd],
        ["report", odd],
        ["list", odd],
        ["data", odd],
        ["predict", ".", "--method", odd],
        [odd],
        ["run", "demo", "--dry-run", "--set", f"{odd}={odd}"],
        ["run", "demo", "--dry-run", "--set", f"targets=[{json.dumps(odd)}]"],
        ["data-card", odd],
        ["run", "demo", f"--{odd}"],
    ):
        clean(isogloss(*arguments, cwd=tmp_path)).well(code=2)


FORMULAS = [
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    "\uff1d1",
    '=HYPERLINK("http://x")',
    "-x",
]
MARKUP = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="x',
    "{{ 7*7 }}",
    "]]>",
    "<!--",
    "\\input{/etc/passwd}",
    "$x_1$ 100% & # ~ ^",
    "\\end{tabular}",
    "[bold]x[/bold]",
    "[/x]",
    ":smile:",
    "&lt;&amp;",
]


@pytest.fixture(scope="module")
def reported(isogloss, tmp_path_factory):
    """The report of a run whose labels, methods and examples are all of that."""
    folder = tmp_path_factory.mktemp("texts") / "run"
    every = [*HOSTILE.values(), *PLAIN.values(), *FORMULAS, *MARKUP]
    directory(
        folder, labels=every, methods=["plain", *(f"m{number}[x={text}]" for number, text in enumerate(every[::6]))]
    )
    points = pl.DataFrame(
        {
            "method": "plain",
            "seed": 0,
            "language": "deu-Latn",
            "example": every,
            "gold": every,
            "predicted": every[0],
            "pca_x": 0.5,
            "pca_y": 1.0,
            "tsne_x": 0.5,
            "tsne_y": 1.0,
        }
    )
    keep(Store(folder), "boundary", AnalysisResult({"boundary-points": points}))
    answer = clean(isogloss("report", "run", cwd=folder.parent, seconds=300))
    answer.well(code=0)
    return folder


def test_every_figure_is_well_formed(reported):
    figures = list((reported / "report").glob("*.svg"))
    assert len(figures) >= 3
    for figure in figures:
        root = ET.fromstring(figure.read_bytes())  # noqa: S314 - our own
        assert not any(ODD.search(text) for text in root.itertext())


def test_the_page_holds_none_of_it(reported):
    page = (reported / "report.html").read_text(encoding="utf-8")
    assert not ODD.search(page.split("<script>")[0])
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("</script>") == page.count("<script")


def test_tables_for_programs_and_paper_hold_none_of_it(reported):
    tables = list((reported / "report").glob("*.csv"))
    assert tables
    for table in tables:
        with table.open(encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream):
                for value in row:
                    assert not ODD.search(value)
                    assert not re.match(r"\s*[=@\uff1d]", value), (table, value)
    for table in (reported / "report").glob("*.tex"):
        text = table.read_text(encoding="utf-8")
        assert not ODD.search(text)
        assert "\\input{" not in text
        assert text.count("\\end{tabular}") == 1


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text_and_a_number_a_number(text):
    table = csv_safe(pl.DataFrame({text: [text, "plain", "-1.5e3", None], "number": [-1, -2, -3, -4]}))
    assert table.columns == ["'" + visible(text), "number"]
    assert table.rows() == [("'" + visible(text), -1), ("plain", -2), ("-1.5e3", -3), (None, -4)]


def test_columns_that_look_the_same_stay_two():
    assert len(set(csv_safe(pl.DataFrame({"a\x1b": [1], "a\\x1b": [2]})).columns)) == 2


@pytest.mark.parametrize(
    "number", [*range(0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x2070), 0xD800, 0xFFFE]
)
def test_each_character_of_the_kind(number):
    text = f"a{chr(number)}b"
    shown = visible(text)
    assert (shown == text) == (number in {9, 10} or 0x20 <= number < 0x7F)
    assert json.loads(json_line(text)) == text
    assert not ODD.search(json_line(text))
    assert "\n" not in one_line(text)
    assert not ODD.search(escape(text))


@pytest.mark.parametrize("name", PLAIN)
def test_what_languages_are_written_with_stays(name):
    assert visible(PLAIN[name]) == PLAIN[name]
    assert json_line(PLAIN[name]) == json.dumps(PLAIN[name], ensure_ascii=False)
