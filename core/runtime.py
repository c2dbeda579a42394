"""Where a call runs, and how the page follows it.

Core functions are pure, so the same call can run in this process, in a ZeroGPU worker, or on a
cluster. `run` is the only place that knows which. `stream` is how a page calls it: the work goes
on in a thread, ticks come back while it does, and closing the stream stops the work at the next
moment it reports progress.
"""

from __future__ import annotations

import functools
import inspect
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from core.types import Progress, silent

WAITS = "waiting for other work to end"

_lock = threading.Lock()  # one piece of heavy work at a time: two would only slow each other


class _Mine(threading.local):
    """Of this thread: has it the lock, and how often has it asked to keep it between snapshots?"""

    has, alone = False, 0


_mine = _Mine()


def offline() -> bool:
    """True when nothing may be fetched: --offline, or the hub's own variable."""
    return any(os.environ.get(k) == "1" for k in ("SIGHTLINE_OFFLINE", "HF_HUB_OFFLINE"))


@functools.cache
def device() -> str:
    """'cuda', 'mps' or 'cpu', whichever torch can use here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


# ---------------------------------------------------------------- where


def run(call: Callable[..., Any], /, *args: Any, gpu: bool = False, **kwargs: Any) -> Any:
    """Call it where the work belongs, and return what it returns.

    With gpu=True on a ZeroGPU Space the call goes to a GPU worker; what crosses is pickled, so
    its progress stays behind. Everywhere else it runs here, one at a time.
    """
    if _elsewhere(gpu):
        kwargs.pop("progress", None)
        return _on_gpu(call, args, kwargs)
    had = _mine.has
    _take()
    try:
        return call(*args, **kwargs)
    finally:
        if not had:
            _give()


@contextmanager
def aside() -> Iterator[None]:
    """Inside a call: what only waits, as for a download. Other work goes on meanwhile."""
    had = _mine.has
    _give()
    try:
        yield
    finally:
        if had:
            _take()


@contextmanager
def alone() -> Iterator[None]:
    """Inside a generator that is streamed: other work doesn't come in between its snapshots, as
    while it alters networks that others use too."""
    _mine.alone += 1
    try:
        yield
    finally:
        _mine.alone -= 1


def _take() -> None:
    """Wait for this thread's turn, unless it has it."""
    if not _mine.has:
        _lock.acquire()
        _mine.has = True


def _give() -> None:
    """Let others have their turn."""
    if _mine.has:
        _mine.has = False
        _lock.release()


def _elsewhere(gpu: bool) -> bool:
    return gpu and "SPACES_ZERO_GPU" in os.environ


def _call(call: Callable[..., Any], args: tuple, kwargs: dict) -> Any:
    return call(*args, **kwargs)


def _each(call: Callable[..., Iterator], args: tuple, kwargs: dict) -> Iterator:
    yield from call(*args, **kwargs)


try:  # ZeroGPU looks for decorated functions at module level; elsewhere these are just themselves
    if "SPACES_ZERO_GPU" not in os.environ:
        raise ImportError
    import spaces  # type: ignore[import-not-found]

    _on_gpu, _each_on_gpu = spaces.GPU(_call), spaces.GPU(_each)
except ImportError:
    _on_gpu, _each_on_gpu = _call, _each


# ---------------------------------------------------------------- following it


class Stopped(Exception):
    """Raised inside a call, by its own progress, after the person pressed Stop."""


@dataclass(frozen=True)
class Tick:
    """How far the work is: fraction in [0, 1], what it does, seconds so far and still to go."""

    fraction: float
    desc: str
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True)
class Part:
    """One snapshot of work that goes on."""

    value: Any


@dataclass(frozen=True)
class Done:
    """The result. For a generator, its last snapshot (None if there was none)."""

    value: Any


def stream(
    call: Callable[..., Any],
    /,
    *args: Any,
    gpu: bool = False,
    every_s: float = 0.1,
    **kwargs: Any,
) -> Generator[Tick | Part | Done, None, None]:
    """Run `call(*args, progress=..., **kwargs)` in a thread and tell what happens meanwhile.

    A plain function ends in Done(result). A generator's snapshots come as Parts, then
    Done(last one). Before its turn comes, ticks say that it WAITS. Errors are raised here. Closing
    this generator makes the call's next progress raise Stopped (or closes the call's generator), and
    waits up to a second for it to end.
    """
    events: queue.Queue = queue.Queue()
    stop = threading.Event()
    turn = threading.Event()  # set when the work begins
    began = time.perf_counter()

    def progress(fraction: float, /, desc: str = "") -> None:
        if stop.is_set():
            raise Stopped
        seconds = time.perf_counter() - began
        left = seconds * (1 - fraction) / fraction if fraction > 0.02 else None
        events.put(Tick(min(max(fraction, 0.0), 1.0), desc, seconds, left))

    def work() -> None:
        nonlocal began
        try:
            if not _elsewhere(gpu):
                _take()
            if stop.is_set():
                raise Stopped
            began = time.perf_counter()
            turn.set()
            if inspect.isgeneratorfunction(call):
                if _elsewhere(gpu):
                    snapshots = _each_on_gpu(call, args, kwargs)
                else:
                    snapshots = call(*args, **kwargs, progress=progress)
                _drain(snapshots, events, stop)
            else:
                value = run(call, *args, gpu=gpu, progress=progress, **kwargs)
                events.put(Done(value))
        except Stopped:
            events.put(Done(None))
        except BaseException as error:  # handed to the one who listens, who raises it
            events.put(error)
        finally:
            _give()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        last, told = Tick(0.0, "", 0.0, None), 0.0
        while True:
            try:
                event = events.get(timeout=0.25)
            except queue.Empty:  # a silent stretch: still tick, so that Stop finds a way in
                seconds = time.perf_counter() - began
                event = replace(last, seconds=seconds)
                if not turn.is_set():
                    event = Tick(0.0, WAITS, seconds, None)
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, Tick):
                last = last if event.desc == WAITS else event
                if time.perf_counter() - told < every_s:
                    continue
                told = time.perf_counter()
            yield event
            if isinstance(event, Done):
                return
    finally:
        stop.set()
        thread.join(timeout=1)


def _drain(snapshots: Iterator, events: queue.Queue, stop: threading.Event) -> None:
    """Put a generator's snapshots into events. Other work may come in between two of them: training
    takes minutes, and meanwhile somebody wants a picture. Not while it has to be `alone`."""
    last = None
    try:
        while True:
            _take()
            value = next(snapshots, _drain)
            if not _mine.alone:
                _give()
            if value is _drain:
                break
            last = value
            if stop.is_set():
                raise Stopped
            events.put(Part(last))
            time.sleep(0.001)  # a lock goes to whoever asks first, and that must not always be us
    finally:
        snapshots.close()  # type: ignore[attr-defined]
    events.put(Done(last))


def stage(progress: Progress, low: float, high: float) -> Progress:
    """A progress for one stage of a longer call: its 0…1 becomes low…high of the whole."""
    if progress is silent:
        return silent

    def inner(fraction: float, /, desc: str = "") -> None:
        progress(low + (high - low) * fraction, desc=desc)

    return inner
