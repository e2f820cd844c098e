"""Commands in processes forked from a server that has imported everything: a new Python for each takes seconds.

As a program it is the server: requests as JSON lines on its standard input, answers on its standard output. It
imports, and does nothing that starts threads, for those would not be there in what it forks.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60  # what takes longer hangs
SERVER = {"PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "POLARS_MAX_THREADS": "1", "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "RAYON_NUM_THREADS": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """How a command ended: its exit code (None: it hung; below 0: the signal that ended it) and what it said."""

    code: int | None
    out: str
    err: str

    def well(self, *names: str, code: int | None = None) -> str:
        """The one line of an error, or nothing of a success. It is an error of the test that it was not answered well.

        Args:
            names: what the line has to name.
            code: the exit code, where it is known what it has to be.
        """
        told = f"code {self.code}\n{self.out[-1000:]}\n{self.err[-3000:]}"
        assert self.code in ({0, 2} if code is None else {code}), told
        assert "Traceback (most recent call last)" not in self.err + self.out, told
        if self.code == 0:
            return ""
        lines = [line for line in self.err.splitlines() if line.startswith("isogloss: ")]
        assert len(lines) == 1, told
        assert self.err.rstrip("\n").endswith(lines[0]), told
        for name in names:
            assert name in lines[0], f"{name!r} is not named\n{told}"
        return lines[0]


class Commands:
    """A server and what is asked of it."""

    def __init__(self) -> None:
        source = str(Path(__file__).resolve().parents[1] / "src")
        path = os.pathsep.join([source, str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **SERVER, "PYTHONPATH": path},
        )  # fmt: skip

    def __call__(
        self, *arguments: object, cwd: Path, stdin: bytes = b"", seconds: float = SECONDS, **environment: str
    ) -> Answer:
        """Run `isogloss` with these arguments, in that folder, with more in its environment; kill it if it hangs."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "in").write_bytes(stdin)
            request = {
                "arguments": [str(argument) for argument in arguments], "cwd": str(cwd), "streams": folder,
                "environment": environment, "seconds": seconds,
            }  # fmt: skip
            self.server.stdin.write(json.dumps(request) + "\n")
            self.server.stdin.flush()
            code = json.loads(self.server.stdout.readline())
            out, err = ((Path(folder) / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err"))
        return Answer(code, out, err)

    def close(self) -> None:
        """Let the server end."""
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait()


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """All that lies in a folder: files by their bytes, links by where they lead."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def _carry_out(request: dict) -> int | None:
    child = os.fork()
    if child == 0:
        _become(request)
    until, pause = time.monotonic() + request["seconds"], 0.001
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause := min(pause * 1.5, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _become(request: dict) -> None:
    streams = Path(request["streams"])
    for number, name in enumerate(("in", "out", "err")):
        os.dup2(os.open(streams / name, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.chdir(request["cwd"])
    os.environ.update(request["environment"])
    sys.argv = ["isogloss", *request["arguments"]]
    code = 1
    try:
        from isogloss.cli.commands import main

        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - as Python itself ends
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = 120
        os._exit(code)


def serve() -> None:
    """Answer until there are no more requests."""
    import altair as alt  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch
    import transformers.models.auto.modeling_auto
    import transformers.models.auto.tokenization_auto
    import transformers.models.bert.modeling_bert  # noqa: F401

    import isogloss.analysis.registry
    import isogloss.api
    import isogloss.cli.catalog
    import isogloss.cli.dry_run
    import isogloss.cli.inspect_data
    import isogloss.reports.report  # noqa: F401
    from isogloss.analysis.registry import analyses
    from isogloss.data.cards import cards
    from isogloss.languages.language import facts
    from isogloss.methods.registry import find

    torch.set_num_threads(1)
    cards(), facts(), analyses(), find("fine-tuning")
    answers = os.fdopen(os.dup(1), "w")  # where no module's print comes between
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(_carry_out(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
