from pathlib import Path

import pytest

from isogloss.runtime.cache import cache_folder
from isogloss.runtime.files import atomic_file, atomic_folder


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
