"""How the renderer shares out its work on a CPU.

Torch splits every single operation over its threads, and they wait for each other after each one.
A render is a thousand short operations: where one thread is always late, as on a busy machine,
the waiting costs more than the sharing saves. So each thread here takes a whole block of rays and
computes it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, TypeVar, cast

CPU_BLOCK, GPU_BLOCK = 1 << 16, 1 << 22  # rays: what a cache holds, what fills a GPU

F = TypeVar("F", bound=Callable[..., Any])


def _workers(count: int) -> ThreadPoolExecutor:
    """Threads in which torch computes without helpers and keeps no gradients."""
    import torch

    def prepare() -> None:
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)

    return ThreadPoolExecutor(count, initializer=prepare)


def alone(function: F) -> F:
    """The function, run in one thread that computes alone. Its result and errors come through."""

    @wraps(function)
    def run(*args: Any, **given: Any) -> Any:
        import torch

        threads = torch.get_num_threads()
        with _workers(1) as pool:
            try:
                return pool.submit(function, *args, **given, threads=threads).result()
            finally:
                torch.set_num_threads(threads)  # it is also the default of threads to come

    return cast(F, run)


def in_blocks(work: Callable[[int, int], None], total: int, device: str, threads: int) -> None:
    """work(start, end) over 0 to total: block after block, or on a CPU in up to `threads` at once.

    Small pictures, of a few blocks, aren't worth a second thread.
    """
    size = CPU_BLOCK if device == "cpu" else GPU_BLOCK
    spans = [(start, min(start + size, total)) for start in range(0, total, size)]
    workers = min(threads, len(spans)) if device == "cpu" else 1
    if workers < 2:
        for span in spans:
            work(*span)
        return
    with _workers(workers) as pool:
        list(pool.map(lambda span: work(*span), spans))
