"""One program, one process or many: what `torchrun` has started shares every batch, averages gradients and speaks once.

Each process makes the same batches, in the same order, and computes its own rows of them. So the steps of N processes are
those of one process with batches N times as large, whatever N is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout

import torch
from torch import distributed

from .files import Nowhere


def launched() -> bool:
    """Return whether `torchrun` or `accelerate launch` has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "LOCAL_RANK" in os.environ


def join() -> None:
    """Connect the processes that `torchrun` has started; a process alone stays alone.

    Each attempt of a job meets under names of its own: torch 2.15 keeps the addresses of an attempt that failed where
    the next one looks for its own.
    """
    if launched() and not distributed.is_initialized():
        store, rank, size = next(distributed.rendezvous("env://"))
        names = distributed.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT')}", store)
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        if backend == "nccl":  # "cuda" now means this process's own GPU
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group(backend, store=names, rank=rank, world_size=size)


def rank_and_size() -> tuple[int, int]:
    """Return the rank of this process and how many work together: (0, 1) for one that works alone."""
    joined = distributed.is_available() and distributed.is_initialized()
    return (distributed.get_rank(), distributed.get_world_size()) if joined else (0, 1)


def own_rows(rows):
    """Return every N-th of the rows (a list or a tensor), from this process's rank on.

    A process for which no row is left takes the first one, so that all have something to compute; see `own_batch`.
    """
    rank, size = rank_and_size()
    return rows[rank::size] if rank < len(rows) else rows[:1]


def own_batch(batch: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], float]:
    """Return the rows of a batch that are this process's, and the weight of their mean loss.

    The mean over the processes of weight x mean loss is the mean over all texts of the batch, whether or not the processes
    have equally many. The weight is 0 where the batch has fewer texts than there are processes, and 1 in a single process.
    """
    rank, size = rank_and_size()
    count = len(batch["attention_mask"])
    return {name: own_rows(tensor) for name, tensor in batch.items()}, len(range(rank, count, size)) * size / count


def gather_rows(rows: torch.Tensor, indices: list[int], *, count: int, shared: bool = True) -> torch.Tensor:
    """Return float (count, C), the same in all processes, which each give some rows (n, C) with their indices.

    An index that two processes give counts once.
    """
    whole = rows.new_full((count, *rows.shape[1:]), -torch.inf)
    whole[indices] = rows
    if shared and rank_and_size()[1] > 1:
        distributed.all_reduce(whole, distributed.ReduceOp.MAX)
    return whole


@contextmanager
def only_the_first_speaks() -> Iterator[bool]:
    """Yield whether this process is the one that prints and writes files; what the others print goes nowhere.

    Errors still reach stderr. At the end the processes part.
    """
    first = os.environ.get("RANK", "0") == "0" or not launched()
    try:
        with nullcontext() if first else redirect_stdout(Nowhere()):
            yield first
    finally:
        if rank_and_size()[1] > 1:
            distributed.destroy_process_group()


def restarted() -> bool:
    """Return whether `torchrun --max-restarts` has started the processes anew, because one of them had died."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


def wait_for_all() -> None:
    """Return when all processes are here."""
    if rank_and_size()[1] > 1:
        distributed.barrier()


def together(main: Callable[[], int]) -> Callable[[], int | None]:
    """Return a program that connects the processes, lets the first one speak, and reports to `torchrun` why it failed.

    Processes that are done end at once. While Python cleans up, a thread of gloo that still has to free a tensor would
    abort its process, and a complete job would count as failed.
    """
    from torch.distributed.elastic.multiprocessing.errors import record

    @record
    def run() -> int:
        join()
        with only_the_first_speaks():
            status = main()
        if launched():
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        return status

    return run
