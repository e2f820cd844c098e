"""Several commands at once, each of which may be killed at one of its file operations; see `fork_server`.

As a program it is the server. A request names actors; the answer is how each ended.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path

import fork_server

sys.dont_write_bytecode = True  # or a disk that is full, or a kill, would cut a module's bytecode off for all others

# What Python tells of what it does to files; `os.replace` is a rename to it, `os.unlink` a removal.
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "os.utime", "os.link", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
SECONDS = 120  # after which an actor hangs


class Operations:
    """Counts what is done to files under a folder, and ends the process before one of them.

    Args:
        folder: the run directory.
        fatal: the number of the operation that is not done any more; none: all are.
        counted: a file that is given their number at the end.
    """

    def __init__(self, folder: str, fatal: int | None, counted: str | None) -> None:
        self.folder, self.fatal, self.counted, self.number = folder, fatal, counted, 0

    def watch(self) -> None:
        """Be told of all operations from now on, those of libraries in Rust too."""
        import polars as pl
        import safetensors.torch

        from isogloss.run_directory import writing
        from isogloss.training import checkpoint

        sys.addaudithook(self.hear)
        write_parquet, save_file = pl.DataFrame.write_parquet, safetensors.torch.save_file

        def parquet(table, file, *args, **options):
            self.through(file, lambda: write_parquet(table, file, *args, **options))

        def save(tensors, file, *args, **options):
            self.through(file, lambda: save_file(tensors, file, *args, **options))

        pl.DataFrame.write_parquet = parquet
        writing.save_file = checkpoint.save_file = save

    def through(self, file, write) -> None:
        """Before it, and in the middle."""
        self.count()
        write()
        if self.fatal == self.number + 1:
            os.truncate(file, Path(file).stat().st_size // 2)
        self.count()

    def hear(self, event, arguments) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITING:
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        named = isinstance(path, str | bytes | os.PathLike)
        if named and str(Path.cwd() / os.fsdecode(path)).startswith(self.folder):
            self.count()

    def count(self) -> None:
        self.number += 1
        if self.number == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def end(self) -> None:
        if self.counted:
            Path(self.counted).write_text(str(self.number))


def carry_out(request: dict) -> list[int | None]:
    children = [_fork(actor) for actor in request["actors"]]
    codes: list[int | None] = [None] * len(children)
    left, until = set(range(len(children))), time.monotonic() + SECONDS
    while left and time.monotonic() < until:
        for number in list(left):
            ended, status = os.waitpid(children[number], os.WNOHANG)
            if ended:
                codes[number] = os.waitstatus_to_exitcode(status)
                left.discard(number)
        time.sleep(0.002)
    for number in left:
        os.kill(children[number], signal.SIGKILL)
        os.waitpid(children[number], 0)
    return codes


def _fork(actor: dict) -> int:
    child = os.fork()
    if child == 0:
        time.sleep(actor["after"])
        if actor["largest"]:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (actor["largest"], actor["largest"]))
        if actor["fatal"] or actor["counted"]:
            operations = Operations(actor["folder"], actor["fatal"], actor["counted"])
            operations.watch()
            leave = os._exit

            def end(code):
                operations.end()
                leave(code)

            os._exit = end
        fork_server._become(actor)
    return child


if __name__ == "__main__":
    fork_server._carry_out = carry_out
    fork_server.serve()
