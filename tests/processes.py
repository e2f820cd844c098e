"""Functions in several processes that are started together, as by torchrun; forked, as torch loads slowly."""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from isogloss.errors import IsoglossError

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its lines of a process that is gone are a page each
SECONDS = 120.0  # what takes longer hangs


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _act(rank: int, count: int, port: int, threads: int, function: Callable, arguments: tuple, told: Any) -> None:
    import torch

    torch.set_num_threads(threads)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    try:
        answer = function(*arguments)
    except KeyboardInterrupt:
        answer = KeyboardInterrupt()
    except IsoglossError as error:
        answer = IsoglossError(str(error))
    except BaseException:  # noqa: BLE001 - the test shows it
        answer = RuntimeError(traceback.format_exc())
    told.send(answer)
    told.close()


@contextmanager
def started(function: Callable, *arguments: Any, count: int = 2) -> Iterator[list[tuple[Any, Any]]]:
    """Several processes that carry out a function, each with the end of a pipe that says what it gave, or raised."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["isogloss.api", "peft", "transformers.models.xlm_roberta.modeling_xlm_roberta"])
    port, made = free_port(), []
    for rank in range(count):
        hears, tells = context.Pipe(duplex=False)
        one = context.Process(target=_act, args=(rank, count, port, 1, function, arguments, tells), daemon=True)
        one.start()
        tells.close()
        made.append((one, hears))
    try:
        yield made
    finally:
        for one, _ in made:
            one.join(SECONDS)
            alive = one.is_alive()
            one.kill()
            one.join()
            assert not alive, "a process hangs"


def answers(processes: list[tuple[Any, Any]]) -> list[Any]:
    """What each gave or raised; None of one that was killed."""
    heard = []
    for _, hears in processes:
        try:
            heard.append(hears.recv() if hears.poll(SECONDS) else "hangs")
        except EOFError:
            heard.append(None)
    return heard


def together(function: Callable, *arguments: Any, count: int = 2) -> list[Any]:
    """What several processes give for a function."""
    with started(function, *arguments, count=count) as processes:
        return answers(processes)
