"""Work runs, tells how far it is, hands back errors, and really stops."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core import runtime
from core.runtime import Done, Part, Tick
from core.types import InputError, Snapshot, silent

ROOT = Path(__file__).parents[1]


def counted(n, *, progress=silent):
    for i in range(n):
        progress(i / n, desc="counting")
        time.sleep(0.01)
    return n


def snapshots(n, closed, *, progress=silent):
    try:
        for i in range(n):
            yield Snapshot(i + 1, n, 0.0)
            time.sleep(0.01)
    finally:
        closed.set()


def test_a_function_ticks_and_ends_in_its_result():
    events = list(runtime.stream(counted, 30, every_s=0.02))
    assert events[-1] == Done(30)
    ticks = [e for e in events if isinstance(e, Tick)]
    assert 3 <= len(ticks) <= 30
    assert [t.fraction for t in ticks] == sorted(t.fraction for t in ticks)
    late = [t for t in ticks if t.fraction > 0.5]
    assert all(t.seconds_left is not None and t.seconds_left < t.seconds for t in late)


def test_a_generator_streams_parts():
    closed = threading.Event()
    events = list(runtime.stream(snapshots, 3, closed))
    assert [e.value.step for e in events if isinstance(e, Part)] == [1, 2, 3]
    assert events[-1] == Done(Snapshot(3, 3, 0.0))
    assert closed.is_set()


def test_closing_stops_a_function_and_frees_the_lock():
    reached = []

    def endless(*, progress=silent):
        for i in range(10_000):
            progress(0.0)
            reached.append(i)
            time.sleep(0.005)

    events = runtime.stream(endless, every_s=0)
    next(events)
    began = time.perf_counter()
    events.close()
    assert runtime.run(lambda: 7) == 7  # the lock is free again
    assert time.perf_counter() - began < 20 and len(reached) < 1000  # of 10,000, for 50 s


def test_closing_closes_the_calls_generator():
    closed = threading.Event()
    events = runtime.stream(snapshots, 10_000, closed)
    next(events)
    events.close()
    assert closed.wait(10)


def test_errors_come_back_as_they_are():
    def wrong(*, progress=silent):
        raise InputError("Choose another picture.")

    with pytest.raises(InputError, match="another picture"):
        list(runtime.stream(wrong))


def test_a_silent_call_still_ticks_so_that_stop_can_land():
    def slow(*, progress=silent):
        time.sleep(0.7)
        return 1

    events = list(runtime.stream(slow))
    assert sum(isinstance(e, Tick) for e in events) >= 1


def both(alters, meanwhile):
    """What happens, in order, if `meanwhile` is called after the first snapshot of `alters`."""
    happened, asks = [], threading.Event()

    def asking():
        asks.set()
        runtime.run(meanwhile, happened)

    events = runtime.stream(alters, happened, asks)
    while not isinstance(next(events), Part):
        pass
    other = threading.Thread(target=asking)
    other.start()
    list(events)
    other.join(10)
    return happened


def painted(happened, asks, *, progress=silent):
    for _ in range(4):
        happened.append("step")
        yield 1
        assert asks.wait(10)
        time.sleep(0.05)


def painted_alone(happened, asks, *, progress=silent):
    with runtime.alone():
        yield from painted(happened, asks)


def test_other_work_comes_in_between_snapshots_unless_they_are_to_be_alone():
    def meanwhile(happened):
        happened.append("other")

    assert both(painted, meanwhile).index("other") < 4
    assert both(painted_alone, meanwhile) == ["step"] * 4 + ["other"]
    assert runtime.run(lambda: 7) == 7, "the lock is free again"


@pytest.mark.parametrize("ends", [InputError("Choose another."), None])
def test_the_lock_is_free_after_lonely_work_that_failed_or_was_stopped(ends):
    closed = threading.Event()

    def work(*, progress=silent):
        with runtime.alone():
            try:
                while True:
                    yield 1
                    if ends:
                        raise ends
            finally:
                closed.set()

    events = runtime.stream(work)
    next(events)
    if ends:
        with pytest.raises(InputError):
            list(events)
    events.close()
    assert closed.wait(10) and runtime.run(lambda: 7) == 7
    assert both(painted, lambda happened: happened.append("other")).index("other") < 4


def test_what_waits_aside_leaves_the_turn_to_others():
    other_ran = threading.Event()

    def fetches(*, progress=silent):
        progress(0.0)
        with runtime.aside():
            assert other_ran.wait(10)
        return 1

    events = runtime.stream(fetches, every_s=0)
    next(events)
    runtime.run(other_ran.set)
    assert list(events)[-1] == Done(1)
    with runtime.aside():  # outside of any work it does nothing
        assert runtime.run(lambda: 7) == 7


def test_who_waits_for_its_turn_says_so_and_never_begins_once_stopped():
    began, release = threading.Event(), threading.Event()
    first = threading.Thread(target=runtime.run, args=(lambda: began.set() or release.wait(30),))
    first.start()
    assert began.wait(10)
    ran = []

    def silent_work(*, progress=silent):
        ran.append(1)
        time.sleep(0.6)
        return 1

    stopped, waits = runtime.stream(silent_work), runtime.stream(silent_work)
    told = [next(stopped), next(waits)]
    assert [t.desc for t in told if isinstance(t, Tick)] == [runtime.WAITS] * 2
    stopped.close()
    release.set()
    later = list(waits)
    first.join()
    assert later[-1] == Done(1)
    assert [t.desc for t in later if isinstance(t, Tick)][-1] == "", "it doesn't wait any more"
    time.sleep(0.05)
    assert ran == [1]


def test_stage_maps_one_stage_into_the_whole():
    seen = []
    inner = runtime.stage(lambda f, /, desc="": seen.append((f, desc)), 0.2, 0.6)
    inner(0.5, desc="half")
    assert seen == [(pytest.approx(0.4), "half")]
    assert runtime.stage(silent, 0, 1) is silent


def test_on_a_space_gpu_calls_go_through_spaces_gpu(tmp_path):
    """A stand-in for the `spaces` package marks what passes through it."""
    (tmp_path / "spaces.py").write_text(
        "import inspect\n"
        "def GPU(f):\n"
        "    if inspect.isgeneratorfunction(f):\n"
        "        return lambda *a: (('on the gpu', x) for x in f(*a))\n"
        "    return lambda *a: ('on the gpu', f(*a))"
    )
    code = (
        "from core import runtime\n"
        "def count(n, progress=None): yield from range(n)\n"
        "print(runtime.run(len, 'abc', gpu=True), runtime.run(len, 'abc'))\n"
        "for gpu in (True, False):\n"
        "    print([e.value for e in runtime.stream(count, 2, gpu=gpu) if hasattr(e, 'value')])"
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    on = "[('on the gpu', 0), ('on the gpu', 1), ('on the gpu', 1)]"
    here = "[0, 1, 1]"
    for zero, said in (("1", f"('on the gpu', 3) 3\n{on}\n{here}"), ("", f"3 3\n{here}\n{here}")):
        env.pop("SPACES_ZERO_GPU", None)
        if zero:
            env["SPACES_ZERO_GPU"] = zero
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.stdout.strip() == said, done.stderr
