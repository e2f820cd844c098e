"""Each built-in card on files as its data set is distributed: small ones, in the layouts that the archives have."""

import json

import pytest

from isogloss.data.cards import cards
from isogloss.data.dataset import open_data
from isogloss.errors import IsoglossError
from isogloss.languages.language import Language


def lay(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def squad(*names, answer="cat"):
    articles = [
        {
            "title": f"t {name}",
            "paragraphs": [
                {
                    "context": f"a {answer or 'cat'} sat {name}",
                    "qas": [{"id": name, "question": f"who {name}?", "answers": [{"text": answer, "answer_start": 2}]}],
                }
            ],
        }
        for name in names
    ]
    return json.dumps({"version": "1", "data": articles})


def tokens(*words, end="\t"):
    return "\n".join(f"{word}{end}{tag}" for word, tag in words) + "\n\n"


def conllu(word):
    return f"# sent_id = {word}\n1\t{word}\t_\tNOUN\t_\t_\t0\troot\t_\t_\n1.1\tgap\t_\tVERB\t_\t_\t_\t_\t_\t_\n\n"


def iob2(word):
    return f"# sent_id = {word}\n1\t{word}\tB-PER\t-\tann\n2\truns\tO\t-\tann\n\n"


def ner(word):
    return tokens((word, "B-PER"), ("runs", "O"), end=" ")


def massive(code):
    lines = [
        {
            "id": str(number),
            "locale": code,
            "partition": split,
            "scenario": "alarm",
            "intent": "alarm_set",
            "utt": f"{code} {split}",
            "annot_utt": f"{code} [date : {split}]",
            "worker_id": "1",
        }
        for number, split in enumerate(("train", "dev", "test"))
    ]
    return "\n".join(map(json.dumps, lines)) + "\n"


XNLI = (
    "language\tgold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\t"
    "sentence1\tsentence2\tpromptID\tpairID\tgenre\tlabel1\n"
)

MNLI = "premise\thypo\tlabel\n{code} p\th\tcontradictory\n"


def xnli(split):
    row = '{code}\tneutral\t\t\t\t\t{code} "{split}" p\t{code} {split} h\t1\t1\tfiction\tneutral\n'
    return XNLI + "".join(row.format(code=code, split=split) for code in ("ar", "en"))


def pawsx(*rows):
    return "id\tsentence1\tsentence2\tlabel\n" + "".join("\t".join(row) + "\n" for row in rows)


PAWSX = {
    f"x-final/{code}/{name}.tsv": pawsx(("7", f'a "b" {code}', name, "1"), ("8", "NS", "x", "0"), ("9", "y", "", "0"))
    for code, names in {"en": ("train", "dev_2k", "test_2k"), "de": ("translated_train", "dev_2k", "test_2k")}.items()
    for name in names
}
LAYOUTS = {
    "masakhaner2": [
        (
            {
                f"MasakhaNER2.0/data/{code}/{split}.txt": ner(f"{code}-{split}")
                for code in ("swa", "hau")
                for split in ("train", "dev", "test")
            },
            ("sw", "ha"),
        )
    ],
    "massive": [({f"1.1/data/{code}.jsonl": massive(code) for code in ("en-US", "sw-KE")}, ("en", "sw"))],
    "massive-slots": [({f"1.1/data/{code}.jsonl": massive(code) for code in ("en-US", "zh-TW")}, ("en", "zh-TW"))],
    "mlqa": [
        (
            {
                f"MLQA_V1/{split}/{split}-context-{code}-question-{code}.json": squad(f"{code}{split}")
                for code in ("en", "vi")
                for split in ("dev", "test")
            },
            ("en", "vi"),
        )
    ],
    "pawsx": [(PAWSX, ("en", "de"))],
    "pud": [
        (
            {
                f"UD_{name}-PUD/{code}_pud-ud-test.conllu": conllu(code)
                for code, name in {"en": "English", "zh": "Chinese"}.items()
            },
            ("en", "zh-TW"),
        )
    ],
    "sib200": [
        (
            {
                f"data/annotated/{code}/{split}.tsv": f'index_id\tcategory\ttext\n1\ttravel\t{code} "{split}\n'
                for code in ("eng_Latn", "nqo_Nkoo")
                for split in ("train", "dev", "test")
            },
            ("en", "nqo"),
        )
    ],
    "squad": [
        ({f"{split}-v1.1.json": squad(*(f"{split}{n}" for n in range(20))) for split in ("train", "dev")}, ("en",))
    ],
    "tydiqa": [
        (
            {
                "tydiqa-goldp-v1.1-train.json": squad(
                    *(f"{name}-{n}" for name in ("english", "telugu") for n in range(10))
                ),
                "tydiqa-goldp-v1.1-dev.json": squad("english-a", "telugu-a"),
            },
            ("en", "te"),
        ),
        (
            {
                "tydiqa-goldp-v1.1-train.json": squad(
                    *(f"{name}-{n}" for name in ("english", "telugu") for n in range(10))
                ),
                "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-english.json": squad("english-a"),
                "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-telugu.json": squad("telugu-a"),
            },
            ("en", "te"),
        ),
        (
            {
                f"tydiqa-goldp-v1.1-{split}/tydiqa.goldp.{code}.{split}.json": squad(*map(str, range(count)))
                for code in ("en", "te")
                for split, count in (("train", 10), ("dev", 3))
            },
            ("en", "te"),
        ),
    ],
    "ud": [
        (
            {
                f"UD_{name}/{code}-ud-{split}.conllu": conllu(f"{code}{split}")
                for code, name in {"en_ewt": "English-EWT", "no_bokmaal": "Norwegian-Bokmaal"}.items()
                for split in ("train", "dev", "test")
            },
            ("en", "nb"),
        )
    ],
    "udpos": [
        (
            {
                f"udpos/{split}-{code}.tsv": tokens((f"{code}{split}", "NOUN"))
                for code in ("en", "yo")
                for split in ("train", "dev", "test")
            },
            ("en", "yo"),
        )
    ],
    "uner": [
        (
            {
                f"UNER_{name}/{code}-ud-{split}.iob2": iob2(f"{code}{split}")
                for code, name in {"en_ewt": "English-EWT", "zh_gsdsimp": "Chinese-GSDSIMP"}.items()
                for split in ("train", "dev", "test")
            },
            ("en", "zh"),
        )
    ],
    "wikiann": [
        (
            {
                f"panx_dataset/{code}/{split}": tokens((f"{code}:{code}:{split}", "B-PER"), (f"{code}:runs", "O"))
                for code in ("en", "als")
                for split in ("train", "dev", "test")
            },
            ("en", "gsw"),
        ),
        (
            {
                f"{code}-{split}": tokens((f"{code}:{code}{split}", "B-PER"))
                for code in ("en", "bat-smg")
                for split in ("train", "dev", "test")
            },
            ("en", "sgs"),
        ),
        (
            {
                f"panx/{split}-{code}.tsv": tokens((f"{code}{split}", "B-PER"))
                for code in ("en", "de")
                for split in ("train", "dev", "test")
            },
            ("en", "de"),
        ),
    ],
    "xnli": [
        (
            {
                "XNLI-1.0/xnli.dev.tsv": xnli("dev"),
                "XNLI-1.0/xnli.test.tsv": xnli("test"),
                **{f"XNLI-MT-1.0/multinli/multinli.train.{code}.tsv": MNLI.format(code=code) for code in ("en", "ar")},
            },
            ("en", "ar"),
        ),
    ],
    "xquad": [({f"xquad.{code}.json": squad(code) for code in ("en", "ro")}, ("en", "ro"))],
}
EMPTY = {"mlqa": {"train"}, "pud": {"train", "dev"}, "xquad": {"train", "dev"}}  # splits that a data set has not
CASES = [(name, number) for name, layouts in LAYOUTS.items() for number in range(len(layouts))]


def test_every_card_that_files_are_published_of_is_here():
    assert set(LAYOUTS) == {name for name, card in cards().items() if card.generator is None}


@pytest.mark.parametrize(("name", "number"), CASES)
def test_it_is_read_as_it_is_distributed(name, number, tmp_path):
    files, codes = LAYOUTS[name][number]
    data = open_data(name, path=lay(tmp_path, files))
    languages = [data.card.language(code) for code in codes]
    assert sorted(data.languages()) == sorted(languages) or name in {"tydiqa", "xnli"}
    seen = set()
    for language in languages:
        for split in ("train", "dev", "test"):
            if split in EMPTY.get(name, ()):
                continue
            examples = data.examples(language, split)
            assert len(examples) >= 1
            seen.update(examples.contents)
    assert len(seen) >= len(codes) * (3 - len(EMPTY.get(name, ())))


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("pawsx", "x-final"),
        ("wikiann", "panx_dataset"),
        ("mlqa", "MLQA_V1"),
        ("sib200", "data/annotated"),
        ("massive", "1.1"),
    ],
)
def test_the_folder_of_the_archive_may_be_named_itself(name, folder, tmp_path):
    files, codes = LAYOUTS[name][0]
    lay(tmp_path, files)
    inside, around = open_data(name, path=tmp_path / folder), open_data(name, path=tmp_path)
    for code in codes:
        language = inside.card.language(code)
        assert inside.examples(language, "test").fingerprint == around.examples(language, "test").fingerprint


def test_void_rows_are_left_out_and_counted(tmp_path):
    data = open_data("pawsx", path=lay(tmp_path, PAWSX))
    for code, name in (("en", "train"), ("de", "translated_train")):
        examples = data.examples(Language.parse(code), "train")
        assert examples.table.rows() == [("7", f'a "b" {code}', name, "1")]
        assert examples.dropped == 2


def test_xnlis_quotes_are_text_and_xtremes_are_not(tmp_path):
    data = open_data("xnli", path=lay(tmp_path / "one", LAYOUTS["xnli"][0][0]))
    assert data.examples(Language.parse("en"), "test").table["text"].to_list() == ['en "test" p']
    files = {f"xnli/{split}-en.tsv": '"a ""b"" c"\td\tneutral\n' for split in ("train", "dev", "test")}
    data = open_data("xnli", path=lay(tmp_path / "two", files))
    assert data.examples(Language.parse("en"), "train").table.rows() == [("0", 'a "b" c', "d", "neutral")]


def test_pawsx_of_xtreme_has_no_ids_in_common(tmp_path):
    rows, splits = "a\tb\t1\nc\td\t0\n", ("train", "dev", "test")
    files = {f"{split}-{code}.tsv": rows for code in ("en", "de") for split in splits}
    data = open_data("pawsx", path=lay(tmp_path, files))
    en, de = (set(data.examples(Language.parse(code), "test").table["id"]) for code in ("en", "de"))
    assert len(en) == len(de) == 2
    assert not en & de


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("wikiann", {"panx/test-en.tsv": "Ada\nran\n\n"}),
        ("udpos", {"udpos/test-en.tsv": "Ada\nran\n\n"}),
        ("pawsx", {"pawsx/test-en.tsv": "a\tb\n"}),
        ("xnli", {"xnli/test-en.tsv": "a\tb\n"}),
        ("xquad", {"xquad.en.json": squad("en", answer="")}),
    ],
)
def test_xtremes_test_files_without_labels_are_refused_in_a_line(name, files, tmp_path):
    data = open_data(name, path=lay(tmp_path, files))
    with pytest.raises(IsoglossError) as error:
        data.examples(Language.parse("en"), "test")
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_split_that_is_in_no_layout_says_what_would_be(tmp_path):
    files = {path: text for path, text in PAWSX.items() if "train" not in path}
    data = open_data("pawsx", path=lay(tmp_path, files))
    with pytest.raises(
        IsoglossError, match=r"has no train split of pawsx in deu-Latn; expected de/train.tsv or x-final"
    ):
        data.examples(Language.parse("de"), "train")


def test_a_prefix_that_a_word_lacks_is_named(tmp_path):
    files = {f"en/{split}": tokens(("en:Ada", "B-PER"), ("ran", "O")) for split in ("train", "dev", "test")}
    data = open_data("wikiann", path=lay(tmp_path, files))
    with pytest.raises(IsoglossError, match="the word 'ran' without a prefix that ends in ':'"):
        data.examples(Language.parse("en"), "test")
