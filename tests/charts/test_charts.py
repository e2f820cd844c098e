"""Figures: what they say on the page and on paper, that labels are text, and that files are whole."""

import json
import re
import subprocess
import sys
from importlib import resources
from xml.etree import ElementTree as ET

import altair as alt
import polars as pl
import pytest

from isogloss.charts import boundary, covariates, differences, importance, scores, training, worldmap
from isogloss.charts.chart import Chart, Split
from isogloss.charts.export import KINDS, save, specifications, svg
from isogloss.charts.style import COLOURS, DASHES, method_colour, method_dash, named, short_codes

HOSTILE = [
    "deep-prompt[length=8]", "a.b['c']", '<b>&amp;</b> "$x_1$" 100% \\alpha', "datum.x' + alert(1) + '",
    "</script>{{ 7 * 7 }}",
]  # fmt: skip
DRAWN = {"svg", "rect", "g", "path", "line", "text", "defs", "clipPath", "linearGradient", "stop"}
SVG = "{http://www.w3.org/2000/svg}"


def texts(drawn):
    return [element.text for element in ET.fromstring(drawn).iter(f"{SVG}text")]  # noqa: S314 - our own


def by_language(methods, codes=("eng-Latn", "deu-Latn", "fin-Latn", "swh-Latn")):
    rows = [
        {"method": method, "language": code, "score": 0.9 - 0.1 * place - 0.05 * number, "gap": 0.1 * place}
        for number, method in enumerate(methods)
        for place, code in enumerate(codes)
    ]
    return pl.DataFrame(rows)


def every_chart(methods):
    """A chart of each kind, with these as the methods, and as classes where there are some."""
    table = by_language(methods)
    common = ["deu-Latn", "fin-Latn", "swh-Latn"]
    yield scores.methods(table, methods, metric="accuracy", source="eng-Latn", common=common)
    yield scores.languages(table, methods, metric="accuracy", source="eng-Latn")
    yield worldmap.world(table, methods, source="eng-Latn")
    yield worldmap.part(table, methods, source="eng-Latn")
    pairs = pl.DataFrame(
        [
            {"one": one, "other": other, "language": code, "difference": 0.1, "low": 0.0, "high": 0.2, "p": 0.04,
             "p_holm": 0.04, "p_items": 0.1, "p_items_holm": 0.1}
            for one in methods for other in methods if one != other for code in common
        ]
    )  # fmt: skip
    yield differences.methods(pairs.filter(language="deu-Latn"), methods, methods[0])
    yield differences.languages(pairs, methods, methods[0])
    lengths = pl.DataFrame({"language": common, "length": [1.0, 2.0, 4.0]})
    yield covariates.against(
        table.join(lengths, on="language"), methods, {"length": "tokens a text"}, label="measure", hollow=["swh-Latn"],
        called="low-resource",
    )  # fmt: skip
    curves = pl.DataFrame(
        [
            {"method": method, "curve": curve, "step": step, "value": 0.5 + step / 100, "low": 0.4, "high": 0.9}
            for method in methods for curve in training.GAP for step in (10, 20)
        ]
    )  # fmt: skip
    yield training.gap(curves, methods, dict.fromkeys(methods, 20))
    points = pl.DataFrame(
        [
            {"method": method, "language": code, "gold": label, "predicted": label, "example": label, "pca_x": float(x),
             "pca_y": float(y)}
            for method in methods for x, label in enumerate(methods) for y, code in enumerate(common)
        ]
    )  # fmt: skip
    regions = pl.DataFrame(
        [
            {"method": method, "x": float(x), "y": float(y), "label": methods[(x + y) % len(methods)]}
            for method in methods for x in range(3) for y in range(3)
        ]
    )  # fmt: skip
    yield boundary.plane(points, methods, axes=("pca_x", "pca_y"), regions=regions)


@pytest.mark.parametrize("kind", range(8))
def test_any_label_is_text_on_paper(kind):
    chart = list(every_chart(HOSTILE))[kind]
    drawn = svg(chart)
    written = " ".join(filter(None, texts(drawn)))
    cut = written.replace("…", "")
    for label in HOSTILE:
        assert label in written or label[:20] in cut, label
    assert set(re.findall(r"<(\w+)", drawn)) <= DRAWN


def test_nothing_of_a_label_is_read_as_an_expression():
    for chart in every_chart(HOSTILE):
        for view in specifications(chart):
            text = json.dumps({**view, "datasets": None, "data": None, "params": None})
            for filtered in re.findall(r'"filter": "((?:[^"\\]|\\.)*)"', text):
                assert not any(label[:12] in filtered for label in HOSTILE), filtered
            expression = view.get("title", {}).get("text", {})
            if expression:
                for literal in re.sub(r'"(?:[^"\\]|\\.)*"', "", expression["expr"]).split("+"):
                    assert re.fullmatch(r"\s*\w*\s*", literal), expression


def test_a_menu_on_the_page_is_panels_on_paper():
    methods = ["one", "two"]
    chart = worldmap.world(by_language(methods), methods, source="eng-Latn")
    (view,) = specifications(chart)
    bound = {own["name"]: own["bind"]["options"] for own in view["params"] if "bind" in own}
    assert bound == {"method": methods, "outcome": ["score", "gap"]}
    assert view["usermeta"] == {"aspect": worldmap.ASPECT}
    assert view["width"] == "container"
    assert view["title"]["text"]["expr"] == '"" + outcome + " of " + method + ""'
    assert {"score of one", "score of two"} <= set(texts(svg(chart)))
    assert not re.search("<(select|input)", svg(chart))


def test_the_part_of_the_world_is_the_one_that_most_languages_are_in():
    codes = ["eng-Latn", "deu-Latn", "fin-Latn", "swh-Latn", "amh-Ethi", "zho-Hans", "quy-Latn"]
    chart = worldmap.part(by_language(["one"], codes), ["one"], source="eng-Latn")
    (view,) = specifications(chart)
    bound = {own["name"]: own["bind"]["options"] for own in view["params"] if "bind" in own}
    assert bound["region"] == ["Europe", "Africa and West Asia", "South and East Asia", "America"]
    assert view["title"]["text"]["expr"] == '"" + outcome + " of " + method + ", " + region + ""'
    written = texts(svg(chart))
    assert {"deu", "fin", "eng", "score of one, Europe"} <= set(written)
    african = worldmap.part(by_language(["one"], ["swh-Latn", "amh-Ethi"]), ["one"], source="eng-Latn")
    assert "score of one, Africa and West Asia" in texts(svg(african))


def test_varieties_of_a_language_have_one_label():
    chart = worldmap.part(by_language(["one"], ["por-Latn", "por-Latn-BR", "spa-Latn"]), ["one"], source="eng-Latn")
    labels = dict(chart.table.select("language", "code").iter_rows())
    assert labels == {"por-Latn": None, "por-Latn-BR": "por", "spa-Latn": "spa"}


def test_where_languages_are_too_many_their_codes_are_left_out():
    codes = ["deu-Latn"] + [f"deu-Latn-x-{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(45)]
    chart = worldmap.part(by_language(["one"], codes), ["one"], source="eng-Latn")
    assert set(chart.table["code"]) == {None}


def test_rows_are_told_apart_by_splits():
    table = pl.DataFrame({"part": ["a", "a", "b"], "kind": ["x", "y", "x"], "value": [1.0, 2.0, float("nan")]})
    view = alt.Chart().mark_point().encode(x="value:Q")
    splits = [Split("part", ["b", "a", "none"]), Split("kind", ["x", "y"], "kind")]
    beside = Chart(view, table, splits, title="{part}: {kind}")
    first, second = specifications(beside)
    (rows,) = first["datasets"].values()
    assert rows == [{"part": "b", "kind": "x", "value": None}]  # JSON has no NaN
    assert first["params"] == [
        {"name": "kind", "value": "x", "bind": {"input": "select", "options": ["x"], "name": "kind "}}
    ]
    assert second["transform"] == [{"filter": "datum.kind === kind"}]
    assert [text for text in texts(svg(beside)) if text and ":" in text] == ["b: x", "a: x", "a: y"]
    some = Chart(
        view, table, [Split("part", ["a", "b"], paper=["a"]), Split("kind", ["x", "y"])], title="{part}: {kind}"
    )
    assert [text for text in texts(svg(some)) if text and ":" in text] == ["a: x", "a: y"]


def test_files_are_whole_and_an_svg_is_the_same_again(tmp_path):
    chart = scores.languages(by_language(["one"]), ["one"], metric="accuracy", source="eng-Latn")
    save(chart, tmp_path / "languages")
    made = {file.suffix[1:]: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(made) == set(KINDS)
    assert made["svg"] == svg(chart).encode()
    assert made["pdf"].startswith(b"%PDF")
    assert made["png"].startswith(b"\x89PNG")
    written = texts(made["svg"])
    assert {"English", "German", "Finnish", "Swahili", "0.90", "0.60", "accuracy", "one"} <= set(written)
    assert written.index("English") < written.index("Finnish") < written.index("German")  # the source on top


def test_control_characters_do_not_break_a_file():
    bell = "a\x07b"
    chart = scores.methods(by_language([bell]), [bell], metric="f1", source="eng-Latn", common=["deu-Latn"])
    assert "a\\x07b" in texts(svg(chart))


def test_more_methods_than_colours_are_told_apart_by_dashes():
    methods = [f"m{number}" for number in range(10)]
    colours = method_colour(methods).to_dict()["scale"]["range"]
    dashes = method_dash(methods).to_dict()["scale"]["range"]
    assert len({(colour, tuple(dash)) for colour, dash in zip(colours, dashes, strict=True)}) == 10
    assert colours[7] == COLOURS[0]
    assert dashes[7] == DASHES[1]


def test_bands_are_cut_at_the_range_of_the_means():
    rows = [("a", "gap", step, 0.5 + step / 100, -9.0, 9.0) for step in (0, 10)] + [("a", "gap", 20, 0.5, None, None)]
    curves = pl.DataFrame(rows, schema=["method", "curve", "step", "value", "low", "high"], orient="row")
    chart = training.gap(curves, ["a"], {"a": None})
    assert chart.table["low"].to_list() == pytest.approx([0.49, 0.49, None])
    assert chart.table["high"].to_list() == pytest.approx([0.61, 0.61, None])


def test_a_long_curve_keeps_its_end_and_its_onset():
    steps = list(range(1000))
    curves = pl.DataFrame({"method": "a", "curve": "gap", "step": steps, "value": 0.1, "low": None, "high": None})
    curves = curves.cast({"low": pl.Float64, "high": pl.Float64, "value": pl.Float64, "step": pl.Int64})
    table = training.gap(curves, ["a"], {"a": 501}).table
    assert len(table) <= training.POINTS + 2
    assert {0, 501, 999} <= set(table["step"])
    assert table.filter("onset")["step"].to_list() == [501]


def test_land_is_cut_at_the_seam_of_every_map():
    land = worldmap.land()
    assert len(land) > 200
    assert (land["west"] < land["east"]).all()
    for seam in worldmap.SEAMS:
        assert not len(land.filter((pl.col("west") < seam) & (pl.col("east") > seam)))
    cells = ((land["east"] - land["west"]) / worldmap.CELL).round().sum()
    text = (resources.files("isogloss.charts") / "land.txt").read_text()
    assert cells == sum(row.count("#") for row in text.splitlines() if not row.startswith("# "))


def test_effects_of_weights_reach_as_far_to_either_side():
    beside = [(None, "embeddings", 0.05), (None, "head", 0.7)]
    effects = pl.DataFrame(
        [
            {"method": "a", "way": way, "layer": layer, "weights": kind, "of": outcome, "effect": effect, "low": None,
             "high": None}
            for way in ("rewind", "transplant") for outcome in ("source", "target", "gap")
            for layer, kind, effect in [(0, "norms", 0.1), (10, "norms", 0.2), *beside]
        ],
        schema_overrides={"layer": pl.Int64, "low": pl.Float64, "high": pl.Float64},
    )  # fmt: skip
    chart = importance.weights(effects, "a", ["query-key", "norms"])
    written = texts(svg(chart))
    assert written.count("head: +0.700") == 6
    assert {"gap, rewound", "source score, transplanted", "emb.", "1", "11"} <= set(written)
    assert {"−0.200", "+0.200"} <= set(written)  # the legend of a palette with 0 in its middle


def test_names_that_two_languages_have_are_told_by_code():
    table = named(pl.DataFrame({"language": ["deu-Latn", "por-Latn", "por-Latn-BR"]}))
    assert table["name"].n_unique() == 3
    assert short_codes(["zho-Hans", "zho-Hant", "deu-Latn"]) == {
        "zho-Hans": "zho-Hans", "zho-Hant": "zho-Hant", "deu-Latn": "deu",
    }  # fmt: skip


def test_charts_load_nothing_of_what_stands_above_them():
    code = (
        "import sys\n"
        "from isogloss.charts import boundary, chart, covariates, differences, export, forecast, forgetting\n"
        "from isogloss.charts import importance, scores, states, style, training, worldmap\n"
        "print(*sorted(m for m in sys.modules if m.startswith('isogloss.') or m in ('torch', 'matplotlib', 'pandas')))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {name.split(".")[1] if "." in name else name for name in said} - {
        "charts",
        "languages",
        "runtime",
        "errors",
    }
