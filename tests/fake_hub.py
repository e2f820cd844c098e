"""A hub in a folder: what huggingface_hub's client does is done there, and laid out as in its cache, with links."""

import shutil
from fnmatch import fnmatch

import huggingface_hub
from huggingface_hub import ModelInfo


class FakeHub:
    """Repositories by name, each a folder; `commit` names all of them."""

    def __init__(self, folder, monkeypatch, *, login="x"):
        self.folder, self.private, self.asked, self.downloaded, self.error = folder, {}, [], [], None
        self.commit = "c" * 40
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda *_, **__: self)
        monkeypatch.setattr(huggingface_hub, "get_token", lambda: login)
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", self.download)
        monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", self.cached)

    def repository(self, name):
        return self.folder / "there" / name

    def create_repo(self, repo_id, *, private=None, exist_ok=False):
        self.fail()
        self.private.setdefault(repo_id, private)
        self.repository(repo_id).mkdir(parents=True, exist_ok=exist_ok)
        return f"https://the.hub/{repo_id}"

    def upload_folder(self, *, repo_id, folder_path, commit_message, delete_patterns=()):
        there = self.repository(repo_id)
        for path in list(there.rglob("*")):
            if path.is_file() and any(fnmatch(path.relative_to(there).as_posix(), one) for one in delete_patterns):
                path.unlink()
        shutil.copytree(folder_path, there, dirs_exist_ok=True)

    def model_info(self, repo_id, *, revision=None, files_metadata=False):
        self.asked.append((repo_id, revision))
        self.fail()
        there = self.repository(repo_id)
        if not there.is_dir():
            raise ConnectionError(f"404 Client Error. (Request ID: x)\n\nRepository Not Found for url: {repo_id}.")
        files = [path for path in sorted(there.rglob("*")) if path.is_file()]
        siblings = [{"rfilename": path.relative_to(there).as_posix(), "size": path.stat().st_size} for path in files]
        return ModelInfo(id=repo_id, sha=self.commit, siblings=siblings)

    def fail(self):
        if self.error is not None:
            raise self.error

    def place(self, name, file):
        return self.folder / "cache" / name.replace("/", "--") / "snapshots" / self.commit / file

    def cached(self, name, file, *, revision=None):
        path = self.place(name, file)
        return str(path) if path.exists() else None

    def download(self, name, file, *, revision=None):
        assert revision == self.commit
        path = self.place(name, file)
        if not path.exists():
            self.downloaded.append(file)
            blob = self.folder / "cache" / "blobs" / f"{len(self.downloaded)}"
            blob.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.repository(name) / file, blob)
            path.symlink_to(blob)
        return str(path)
