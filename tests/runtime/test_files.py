import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from isogloss.errors import IsoglossError, MissingError
from isogloss.runtime.cache import cache_folder
from isogloss.runtime.files import atomic_file, atomic_folder, read_bytes, sweep


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


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o022, 0o002])
def test_who_may_read_what_is_written_is_the_users_business(tmp_path, umask):
    before = os.umask(umask)
    try:
        with atomic_file(tmp_path / "file") as file:
            file.write_text("x")
            file.chmod(0o600)  # as a library that writes through a temporary file of its own
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "file").write_text("x")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("file", "folder", "folder/file")]
    assert modes == [0o666 & ~umask, 0o777 & ~umask, 0o666 & ~umask]


def test_only_a_file_is_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    for name in ("pipe", "device", "circle", "folder"):
        words = f"{name} .*expected a file or a new name"
        with pytest.raises(IsoglossError, match=words), atomic_file(tmp_path / name):
            pass
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "elsewhere").write_text("of others")
    (tmp_path / "link").symlink_to("elsewhere")
    with atomic_file(tmp_path / "link") as file:
        file.write_text("x")
    assert (tmp_path / "elsewhere").read_text() == "of others"


def test_what_dead_processes_left_is_swept_and_what_living_ones_write_is_not(tmp_path):
    leave = f"""
import os
from pathlib import Path
from isogloss.runtime.files import atomic_file, atomic_folder
with atomic_folder(Path({str(tmp_path / "folder")!r})) as folder, atomic_file(Path({str(tmp_path / "file")!r})):
    (folder / "inside").touch()
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", leave], check=True)
    dead = set(tmp_path.iterdir())
    assert len(dead) == 2
    with atomic_file(tmp_path / "file") as file:  # sweeps up what was to become the same
        assert len(set(tmp_path.iterdir()) & dead) == 1
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == [file]
        elsewhere = file.with_name(file.name.replace(file.name.split("-")[1], "00000000"))
        before = tmp_path / ".file-abcdefgh"
        for path in (elsewhere, before):
            path.touch()
        sweep(tmp_path)
        assert set(tmp_path.iterdir()) == {file, elsewhere, before}  # nobody knows whether they are still written
        for path in (elsewhere, before):
            os.utime(path, (0, 0))
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_is_an_error_of_the_system_whoever_writes(tmp_path):
    class ForeignError(Exception):
        """As libraries in Rust have them."""

    for error in (ForeignError("I/O error: No space left on device (os error 28)"), OSError(errno.ENOSPC, "full")):
        with pytest.raises(OSError, match="No space left on device") as raised, atomic_file(tmp_path / "file"):
            raise error
        assert raised.value.errno == errno.ENOSPC
        assert raised.value.filename == str(tmp_path / "file")
    with pytest.raises(ForeignError), atomic_file(tmp_path / "file"):
        raise ForeignError("something else")
    assert list(tmp_path.iterdir()) == []
