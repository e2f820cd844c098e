"""What the names of files say: which part is the language, which the split, and where both stand in a pattern."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import langcodes

from isogloss.data.cards import SPLITS
from isogloss.errors import IsoglossError
from isogloss.languages.language import COMMON, Language

FORMATS = {
    ".tsv": "tsv", ".tab": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".conllu": "conllu", ".iob2": "tokens", ".iob": "tokens", ".bio": "tokens",
    ".conll": "tokens", ".txt": "tokens",
}  # fmt: skip
PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".tar", ".tgz", ".7z")
NAMES = {
    "train": "train", "training": "train", "dev": "dev", "development": "dev", "valid": "dev", "validation": "dev",
    "val": "dev", "test": "test",
}  # fmt: skip
# The longer names first; a name is no part of a longer word.
SPLIT = re.compile(rf"(?<![A-Za-z])({'|'.join(sorted(NAMES, key=len, reverse=True))})(?![A-Za-z])", re.IGNORECASE)
CODE = re.compile(r"(?<![A-Za-z])([a-z]{2,3}|[A-Z]{2})([-_]([A-Z][a-z]{3}|[A-Z]{2}|[a-z]{2}(?![a-z])))*(?![A-Za-z])")
TREEBANK = re.compile(r"(?<![A-Za-z])([a-z]{2,3})_[a-z0-9]+(?![A-Za-z])")  # UD's `de_gsd`
WORD = re.compile(r"[A-Za-z]{4,}")  # `english`
SEGMENT = re.compile(r"[^/.\-]+")  # `dev_2k`
Files = dict[tuple[str, str], Path]  # by the files' own names of language and split; no split in a name: ""


@dataclass(frozen=True)
class FileLayout:
    """Files whose paths follow one pattern."""

    pattern: str  # such as `{code}/{split}.tsv`
    suffix: str
    files: Files
    languages: dict[str, str]  # canonical form to the files' own code
    left_out: list[Path]  # files that could be read and are named otherwise
    column: str | None = None  # that says which language a row is in, where no name does

    @property
    def splits(self) -> dict[str, str]:
        """Our splits to the files' own."""
        return {NAMES[_plain(split)]: split for split in dict.fromkeys(split for _, split in self.files) if split}


def file_layout(folder: Path) -> FileLayout:
    """The pattern that most files of a folder follow.

    Raises:
        IsoglossError: none is named by a language.
    """
    paths, readable = _files(folder)
    patterns: dict[tuple[str, str], dict[tuple[str, str], Path]] = defaultdict(dict)
    for path in readable:
        name = path.relative_to(folder).as_posix().removesuffix(path.suffix)
        for pattern, code, split in {} if set(name) & set("{}") else dict.fromkeys(_readings(name)):
            patterns[pattern + path.suffix, path.suffix.lower()][code, split] = path
    if not patterns:
        raise _unnamed(folder, paths, readable)
    chosen = {key: _one_each(files) for key, files in patterns.items()}
    pattern, suffix = max(chosen, key=lambda key: _merit(key[0], chosen[key]))
    files = chosen[pattern, suffix]
    used = set(files.values())
    codes = dict.fromkeys(code for code, _ in files)
    return FileLayout(
        pattern, suffix, files, {str(language(code)): code for code in codes},
        [path.relative_to(folder) for path in readable if path not in used],
    )  # fmt: skip


def named_by_split(folder: Path) -> FileLayout | None:
    """Files that are named by their split alone, or one file; of no language yet. None where they are neither.

    One file that is named as training data holds all that there is.
    """
    _, readable = _files(folder)
    if len(readable) == 1:
        (path,) = readable
        name, splits = path.relative_to(folder).as_posix(), SPLIT.findall(path.stem)
        if not set(name) & set("{}") and {NAMES[split.lower()] for split in splits} <= {"train"}:
            return FileLayout(name, path.suffix.lower(), {("", ""): path}, {}, [])
    patterns: dict[str, dict[tuple[str, str], Path]] = defaultdict(dict)
    for path in readable:
        name = path.relative_to(folder).as_posix().removesuffix(path.suffix)
        for pattern, split in [] if set(name) & set("{}") else _marked(name, _splits(name), "{split}"):
            patterns[pattern + path.suffix]["", split] = path
    if not patterns:
        return None
    pattern = max(patterns, key=lambda one: (len(patterns[one]), one))
    files = patterns[pattern]
    if len({NAMES[_plain(split)] for _, split in files}) < len(files):
        return None
    used = set(files.values())
    suffix = next(iter(used)).suffix.lower()
    return FileLayout(pattern, suffix, files, {}, [path.relative_to(folder) for path in readable if path not in used])


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """All files of a folder, and those that may be read."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _hidden(path.relative_to(folder))]
    return paths, [path for path in paths if path.suffix.lower() in FORMATS]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or path.name.lower().startswith(
        ("readme", "license", "licence")
    )


def _readings(name: str) -> Iterator[tuple[str, str, str]]:
    """Every way to read a name: its pattern, its code and its split; where a name has none, the split is empty."""
    for with_split, split in [*_marked(name, _splits(name), "{split}"), (name, "")]:
        if not split and SPLIT.search(name):
            continue
        free = [match for match in _codes(with_split) if not _within(match, with_split, "{split}")]
        for pattern, code in _marked(with_split, free, "{code}"):
            yield pattern, code, split


def _marked(name: str, found: list[tuple[int, int]], mark: str) -> Iterator[tuple[str, str]]:
    """A name with each of what was found marked: all of the same text at once, and each alone."""
    for text in dict.fromkeys(name[begin:end] for begin, end in found):
        places = [place for place in found if name[place[0] : place[1]] == text]
        for chosen in [places, *([place] for place in places if len(places) > 1)]:
            marked = name
            for begin, end in reversed(chosen):
                marked = marked[:begin] + mark + marked[end:]
            yield marked, text


def _splits(name: str) -> list[tuple[int, int]]:
    plain = [match.span() for match in SPLIT.finditer(name)]
    segments = [
        match.span() for match in SEGMENT.finditer(name)
        if any(match.start() <= begin and end <= match.end() for begin, end in plain) and match.span() not in plain
        and len(SPLIT.findall(match.group())) == 1
    ]  # fmt: skip
    return plain + segments


def _codes(name: str) -> list[tuple[int, int]]:
    found = [match.span() for pattern in (CODE, TREEBANK, WORD) for match in pattern.finditer(name)]
    # A code with a region or script is also a code without: `en_us` may be a treebank's.
    found += [match.span(1) for pattern in (CODE, TREEBANK) for match in pattern.finditer(name)]
    return [(begin, end) for begin, end in dict.fromkeys(found) if language(name[begin:end]) is not None]


def _within(place: tuple[int, int], name: str, mark: str) -> bool:
    return any(place[0] < match.end() and match.start() < place[1] for match in re.finditer(re.escape(mark), name))


@cache
def language(code: str) -> Language | None:
    """The language that a part of a name means: a code, UD's code of a treebank, or an English name."""
    if WORD.fullmatch(code):
        try:
            tag = langcodes.find(code)
            return Language.parse(str(tag)) if tag.language_name().lower() == code.lower() else None
        except (LookupError, IsoglossError):
            return None
    for text in (code, code.partition("_")[0] if TREEBANK.fullmatch(code) else code):
        try:
            return Language.parse(text)
        except IsoglossError:
            continue
    return None


def _plain(split: str) -> str:
    found = SPLIT.search(split)
    assert found is not None
    return found.group().lower()


def _one_each(files: Files) -> Files:
    """Of several codes of a language, and several names of a split, the one with the most files, or the plainest."""
    codes: dict[Language | None, list[str]] = defaultdict(list)
    splits: dict[str, list[str]] = defaultdict(list)
    for code in dict.fromkeys(code for code, _ in files):
        codes[language(code)].append(code)
    for split in dict.fromkeys(split for _, split in files):
        splits[NAMES[_plain(split)] if split else ""].append(split)
    kept_splits = {
        max(names, key=lambda name: (sum(split == name for _, split in files), -len(name))) for names in splits.values()
    }
    kept_codes = {
        max(names, key=lambda name: (sum(code == name for code, split in files if split in kept_splits), -len(name)))
        for names in codes.values()
    }
    return {key: path for key, path in files.items() if key[0] in kept_codes and key[1] in kept_splits}


def _merit(pattern: str, files: Files) -> tuple[object, ...]:
    """What makes one pattern better than another: files with a split, files, marks, well-known and late codes."""
    codes = {code for code, _ in files}
    known = sum(code in COMMON.split() or len(code) > 3 for code in codes) / len(codes)  # noqa: PLR2004 - with a script
    return (
        sum(bool(split) for _, split in files), len(files), pattern.count("{split}") + pattern.count("{code}"), known,
        -len(max(codes, key=len)), pattern.rfind("{code}"), pattern,
    )  # fmt: skip


def _unnamed(folder: Path, paths: list[Path], readable: list[Path]) -> IsoglossError:
    """Why no file could be placed."""
    expected = f"expected one a language and split ({', '.join(SPLITS)}), such as en/train.tsv"
    if not readable:
        if packed := [path for path in paths if path.suffix.lower() in PACKED]:
            return IsoglossError(
                f"{packed[0]} is packed; unpack it first ({folder} holds no file named by language and split)"
            )
        formats = ", ".join(FORMATS)
        return IsoglossError(
            f"{folder} holds no file named by language and split that isogloss reads ({formats}); {expected}"
        )
    lacks = "a split but no language" if any(SPLIT.search(path.stem) for path in readable) else "no language"
    return IsoglossError(
        f"{folder} holds no file named by language and split: {readable[0].relative_to(folder)} names {lacks}; "
        f"{expected}, or a column that says which language each row is in (language, lang, locale)"
    )
