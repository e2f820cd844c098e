import os
import socket
import threading
from pathlib import Path

import pytest

from isogloss.errors import IsoglossError, MissingError
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.files import atomic_file, atomic_folder, read_bytes


def test_the_cache_follows_the_users_conventions(monkeypatch):
    for variable in ("ISOGLOSS_CACHE", "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.delenv(variable, raising=False)
    assert cache_folder() == Path.home() / ".cache" / "isogloss"
    monkeypatch.setenv("HF_HOME", "/big/hf")
    assert cache_folder() == Path("/big/hf/isogloss")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/isogloss")
    monkeypatch.setenv("ISOGLOSS_CACHE", "/own")
    assert cache_folder() == Path("/own")


def test_a_file_changes_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a" / "file.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(RuntimeError), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a" / "folder"
    with pytest.raises(RuntimeError), atomic_folder(path) as temporary:
        (temporary / "file").write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    for text in ("one", "two"):  # a second writer finds it finished and leaves it
        with atomic_folder(path) as temporary:
            (temporary / "file").write_text(text)
    assert (path / "file").read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_read_is_a_file_or_a_stream_that_ends(tmp_path):
    file = tmp_path / "x[1]*"
    file.write_bytes(b"one\n" * 1_000_000)
    assert read_bytes(file) == b"one\n" * 1_000_000
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert read_bytes(pipe) == b""  # nobody writes to it
    writer = threading.Thread(target=pipe.write_bytes, args=(b"two" * 100_000,))
    writer.start()
    while not (came := read_bytes(pipe)):
        pass
    writer.join()
    assert came == b"two" * 100_000


def test_what_is_no_file_is_neither_waited_for_nor_read_for_ever(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("gone")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, words in {
            "loop": "Too many levels", "socket": "No such device", ".": "is a folder", "/dev/zero": "is a device",
            "/dev/full": "is a device",
        }.items():  # fmt: skip
            with pytest.raises(IsoglossError, match=words):
                read_bytes(tmp_path / name)
    with pytest.raises(MissingError):
        read_bytes(tmp_path / "nowhere")
    with pytest.raises(IsoglossError, match="null"):
        read_bytes(Path("a\0b"))
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(10 << 30)
    with pytest.raises(IsoglossError, match="larger than 4,096 MiB"):
        read_bytes(tmp_path / "sparse")
    (tmp_path / "some").write_bytes(b"x" * 11)
    with pytest.raises(IsoglossError, match="larger"):
        read_bytes(tmp_path / "some", most=10)
