"""A pipeline's call, followed step by step.

A diffusers pipeline returns when it has finished, and tells of its steps through a callback. Here
that becomes a generator: the call goes on in a thread of its own, but only while somebody asks for
the next step, so that closing the generator stops it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from core.runtime import Stopped

T = TypeVar("T")
R = TypeVar("R")


def stepwise(call: Callable[[Callable[[T], None]], R]) -> Generator[T, None, R]:
    """`call(tell)` as a generator of all that it tells; its result is the generator's."""
    asked, told = threading.Semaphore(0), threading.Semaphore(0)
    box: list[Any] = []
    ended: list[Any] = []
    stop = threading.Event()

    def tell(value: T) -> None:
        box.append(value)
        told.release()
        asked.acquire()
        if stop.is_set():
            raise Stopped

    def work() -> None:
        asked.acquire()
        try:
            if not stop.is_set():
                ended.append((call(tell), None))
        except BaseException as error:  # raised again where the steps are asked for
            ended.append((None, error))
        told.release()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            asked.release()
            told.acquire()
            if ended:
                value, error = ended[0]
                if error is not None:
                    raise error
                return value
            yield box.pop()
    finally:
        stop.set()
        asked.release()
        thread.join()


def estimate(scheduler: Any, output: Any, t: Any, sample: Any) -> Any:
    """x₀ from the net's output for the noisy latent `sample` at time t.

    x_t = √ᾱ x₀ + √(1−ᾱ) ε (Ho et al. 2020), or x₀ + σ ε where the scheduler counts in σ (Karras et
    al. 2022); the output is ε, or v = √ᾱ ε − √(1−ᾱ) x₀ (Salimans and Ho 2022), or x₀ itself.
    """
    if "FlowMatch" in type(scheduler).__name__:  # x_t = (1 − σ) x₀ + σ ε, and the output is ε − x₀
        index = (scheduler.timesteps == t).nonzero()[0].item()
        return sample - scheduler.sigmas[index].to(sample) * output
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return output
    if "Euler" in type(scheduler).__name__:
        index = (scheduler.timesteps == t).nonzero()[0].item()
        sigma = scheduler.sigmas[index].to(sample)
        if kind == "epsilon":
            return sample - sigma * output
        return sample / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5
    kept = scheduler.alphas_cumprod[int(t)].to(sample)
    if kind == "epsilon":
        return (sample - (1 - kept).sqrt() * output) / kept.sqrt()
    return kept.sqrt() * sample - (1 - kept).sqrt() * output
