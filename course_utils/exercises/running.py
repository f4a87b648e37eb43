"""What an answer does, found out without harm to the notebook: in a child process that can be killed, or in a thread.

On Linux a learner's function runs in a child, which is killed after `Exercise.seconds` whatever it does, and gets 2 GB of
memory. Elsewhere, and where a GPU is in use (it cannot be used in a child), it runs in a thread: one single call into C that
never returns, such as `10**10**10`, cannot be stopped there, and the kernel has to be restarted.
"""

from __future__ import annotations

import copy
import ctypes
import multiprocessing
import os
import random
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from ..files import Nowhere
from .definition import Exercise

Outcome = tuple[object, str]  # what one call did: its value in plain Python, and how it failed


class _Stop(BaseException):
    """Ends a learner's code that took too long."""


def run(answer: object, exercise: Exercise, *, apart: bool = False) -> list[Outcome]:
    """Return what an answer does in each case; what takes too long is stopped, and nothing else of it is noticed."""
    outcomes: list[Outcome] = []
    torch = sys.modules.get("torch")
    forks = apart and callable(answer) and sys.platform == "linux" and not (torch and torch.cuda.is_initialized())
    with redirect_stdout(Nowhere()), redirect_stderr(Nowhere()), warnings.catch_warnings():
        late = (_in_child if forks else _in_thread)(answer, exercise, outcomes)
    return outcomes + [(None, late)] * (len(exercise.calls) - len(outcomes))


def _in_child(answer: object, exercise: Exercise, outcomes: list[Outcome]) -> str:
    """Add what an answer does, case by case, and return what became of the cases that are missing."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_work_apart, args=(answer, exercise, there.send), daemon=True)
    child.start()
    there.close()
    late, end = _late(exercise), time.monotonic() + exercise.seconds
    try:
        while here.poll(max(0.0, end - time.monotonic())):
            outcomes.append(here.recv())
    except EOFError:  # it has ended, by itself if nothing is missing
        child.join()
        late = f"ended the process that ran it (exit code {child.exitcode})."
    except KeyboardInterrupt:
        late = "stopped by you."
    child.kill()
    child.join()
    return late


def _work_apart(answer: object, exercise: Exercise, tell: Callable[[Outcome], object]) -> None:
    """Do the work in a child: what it writes past Python is lost too, and its memory and threads are bounded."""
    import resource  # not on Windows

    for number in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + 2 * 1024**3
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for library, limit in (("torch", "set_num_threads"), ("threadpoolctl", "threadpool_limits")):
        if library in sys.modules:  # the threads of the parent are not there
            getattr(sys.modules[library], limit)(1)
    _work(answer, exercise, tell)


def _in_thread(answer: object, exercise: Exercise, outcomes: list[Outcome]) -> str:
    """Add what an answer does, case by case, and return what became of the cases that are missing."""
    thread = threading.Thread(target=_work, args=(answer, exercise, outcomes.append), daemon=True)
    late, before = _late(exercise), [(put, get()) for get, put, _ in _switches()]
    thread.start()
    try:
        thread.join(exercise.seconds)
    except KeyboardInterrupt:
        late = "stopped by you."
    if thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Stop))
        thread.join(1.0)
    for put, state in before:
        put(state)
    return late


def _late(exercise: Exercise) -> str:
    return f"stopped: it did not finish within {exercise.seconds:g} seconds. Is there a loop that never ends?"


def _work(answer: object, exercise: Exercise, tell: Callable[[Outcome], object]) -> None:
    """Tell what an answer does in each case."""
    for case in exercise.calls:
        for *_, seed in _switches():
            seed(0)
        arguments = copy.deepcopy(case.arguments)
        try:
            result = answer(*arguments) if callable(answer) else answer
            outcome = plain(exercise.observe(result, arguments)), ""
        except _Stop:
            return
        except BaseException as error:
            lines = [f", in the line: {frame.line}" for frame in traceback.extract_tb(error.__traceback__)[1:2]]
            outcome = None, f"raises {type(error).__name__}: {str(error)[:300]}{''.join(lines)}"
        tell(outcome)


def _switches() -> list[tuple[Callable, Callable, Callable]]:
    """Return how each thing that a learner's code could leave changed is read, set, and seeded."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    found: list[tuple[Callable, Callable, Callable]] = [(random.getstate, random.setstate, random.seed)]
    if numpy:
        found.append((numpy.random.get_state, numpy.random.set_state, numpy.random.seed))
    if torch:
        found.append((torch.get_rng_state, torch.set_rng_state, torch.default_generator.manual_seed))
        found.append((torch.get_default_dtype, torch.set_default_dtype, lambda seed: None))
    return found


def plain(value: object) -> object:
    """Return numbers, words and lists in place of arrays, tensors, tuples and dicts; other things by their kind.

    Of what is longer than any exercise asks for the beginning and the size are kept.
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, dict):
        value = sorted(([str(key), part] for key, part in value.items()), key=lambda pair: pair[0])
    if isinstance(value, (str, list, tuple, range)) and len(value) > 100_000:
        value = [value[:100] if isinstance(value, str) else [*value[:100]], f"... {len(value):,} in all"]
    if isinstance(value, int) and value.bit_length() > 1_000:
        return f"a number of {value.bit_length():,} bits"
    if isinstance(value, (list, tuple, range)):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, (int, float, str)) else f"<{type(value).__name__}>"
