import polars as pl

from isogloss.stats.collapse import collapsed

GOLD = ["a", "b", "a"]


def predictions(of_seed, gold=GOLD, language="eng-Latn"):
    rows = [
        {"method": method, "seed": seed, "language": language, "split": "test", "gold": right, "predicted": said}
        for (method, seed), answers in of_seed.items()
        for right, said in zip(gold, answers, strict=True)
    ]
    return pl.DataFrame(rows)


def test_a_method_that_always_says_the_same_is_named():
    table = predictions({("x", 0): "aaa", ("x", 1): "aba", ("y", 0): "bbb", ("y", 1): "bbb", ("z", 0): "aab"})
    assert collapsed([table], "eng-Latn") == {"x": ("a", 1, 2), "y": ("b", 2, 2)}
    assert collapsed([table], "deu-Latn") == {}
    assert collapsed(table.partition_by("method", "seed"), "eng-Latn") == collapsed([table], "eng-Latn")


def test_where_one_answer_is_right_to_all_it_is_no_collapse():
    assert collapsed([predictions({("x", 0): "aaa"}, gold="aaa")], "eng-Latn") == {}


def test_of_tagging_every_word_counts():
    table = predictions({("x", 0): ["O O", "O", "O O O"], ("y", 0): ["O O", "O", "O B O"]}, gold=["O B", "O", "O O O"])
    assert collapsed([table], "eng-Latn", words=True) == {"x": ("O", 1, 1)}
    assert collapsed([table], "eng-Latn") == {}
