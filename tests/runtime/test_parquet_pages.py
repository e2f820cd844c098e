"""Counts that polars would take memory for without end, and files of all writers that have none such."""

import io
from contextlib import suppress

import polars as pl
import pytest

from isogloss.errors import IsoglossError
from isogloss.runtime.parquet import read_parquet
from isogloss.runtime.parquet_pages import check_pages

TABLE = pl.DataFrame({
    "text": [f"text {number % 7}" for number in range(3000)], "number": list(range(3000)), "nothing": [None] * 3000,
    "list": [[str(number)] * (number % 4) for number in range(3000)],
    "truth": [number % 2 == 0 for number in range(3000)],
    "structure": [{"a": number, "b": None} for number in range(3000)], "share": [number / 3 for number in range(3000)],
})  # fmt: skip
POLARS = [{}, {"compression": "uncompressed"}, {"row_group_size": 100}, {"data_page_size": 100}]
ARROW = [
    {}, {"data_page_version": "2.0"}, {"use_dictionary": False}, {"compression": "gzip", "row_group_size": 77},
    {"version": "1.0"}, {"write_page_index": True}, {"write_page_checksum": True},
]  # fmt: skip


def written(write):
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


@pytest.mark.parametrize("table", [TABLE, TABLE.head(0), TABLE.select()])
@pytest.mark.parametrize("options", POLARS)
def test_what_polars_writes_is_whole(table, options):
    check_pages(written(lambda stream: table.write_parquet(stream, **options)))


@pytest.mark.parametrize("table", [TABLE, TABLE.head(0)])
@pytest.mark.parametrize("options", ARROW)
def test_what_arrow_writes_is_whole(table, options):
    parquet = pytest.importorskip("pyarrow.parquet")
    check_pages(written(lambda stream: parquet.write_table(table.to_arrow(), stream, **options)))


def test_a_wrong_byte_anywhere_is_survived(tmp_path):
    data = written(TABLE.select("text", "list").head(5).write_parquet)
    for place in range(4, len(data) - 4):  # the process would end, and no error come
        (tmp_path / "x").write_bytes(data[:place] + bytes([(0x01, 0x7F, 0x80, 0xFF)[place % 4]]) + data[place + 1 :])
        with suppress(IsoglossError):
            read_parquet(tmp_path / "x")


@pytest.mark.parametrize("header", [b"", b"\xff" * 40, b"\x1c" * 40, b"\x49" * 3, b"\x0b\xff\xff\xff\xff\xff\xff"])
def test_headers_that_are_none_are_refused(header):
    with pytest.raises(ValueError, match="its headers"):
        check_pages(b"PAR1" + header + len(header).to_bytes(4, "little") + b"PAR1")
