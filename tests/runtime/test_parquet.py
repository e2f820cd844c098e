"""Parquet files of which nothing is known but their name."""

import polars as pl
import pytest

from isogloss.errors import IsoglossError, MissingError
from isogloss.runtime.parquet import read_parquet


@pytest.fixture
def file(tmp_path):
    pl.DataFrame({"text": ["a", "b"] * 50}).write_parquet(tmp_path / "x[1].parquet")
    pl.DataFrame({"text": ["another"]}).write_parquet(tmp_path / "x1.parquet")
    return tmp_path / "x[1].parquet"


def test_a_name_is_no_pattern(file):
    assert read_parquet(file).height == 100


@pytest.mark.parametrize("name", ["x", "x[2].parquet"])
def test_what_is_not_there_is_missing(file, name):
    with pytest.raises(MissingError, match="could not be read: No such file"):
        read_parquet(file.with_name(name))


DAMAGES = {
    "cut off": lambda data: data[:-9],
    "both ends and nothing between": lambda data: data[:4] + data[-4:],
    "its footer gone": lambda data: data[:8] + bytes(len(data) - 12) + data[-4:],
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_is_named_in_one_line_and_nothing_else_is_written(file, capfd, how):
    file.write_bytes(DAMAGES[how](file.read_bytes()))
    with pytest.raises(IsoglossError) as error:
        read_parquet(file)
    assert str(error.value).startswith(f"{file} is not Parquet")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")
