"""How fast scenes render here, against the bars: `python -m tests.bench.scenes`.

Medians of several runs; on a shared machine the fastest run is the fairer figure, so both are
printed. CPU time counts all cores.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def timed(call: Callable[[], object], runs: int = 15) -> tuple[float, float, float]:
    """Median and fastest wall time and median CPU time, in milliseconds, after two warm-ups."""
    for _ in range(2):
        call()
    wall, cpu = [], []
    for _ in range(runs):
        start, used = time.perf_counter(), time.process_time()
        call()
        wall.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - used))
    return statistics.median(wall), min(wall), statistics.median(cpu)


def line(what: str, bar_ms: float | None, figures: tuple[float, float, float]) -> None:
    median, best, cpu = figures
    verdict = "no bar"
    if bar_ms is not None:
        verdict = f"{'meets' if median <= bar_ms else 'misses'} the bar of {bar_ms:g} ms"
    print(f"{what:46s} median {median:6.1f} ms, fastest {best:6.1f}, CPU {cpu:6.1f}   {verdict}")


def main() -> None:
    import torch

    from core.cameras import orbit
    from core.scenes import (
        RenderSettings,
        correspondence,
        random_scene,
        render,
        render_batch,
        render_clip,
        start_camera,
        stereo_batch,
        story,
    )
    from core.scenes.library import scene
    from tests.test_scenes import table

    cpu = RenderSettings(device="cpu")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name, world in (("8 things", table()), ("tabletop", scene("tabletop"))):
        camera = start_camera(world, 128, 128)
        line(
            f"128×128, 2×2, all truth, {name}",
            120,
            timed(lambda w=world, c=camera: render(w, c, cpu)),
        )
    terrain = scene("terrain")
    hills = start_camera(terrain, 128, 128)
    line(
        "128×128, 2×2, all truth, terrain (102 things)",
        None,
        timed(lambda: render(terrain, hills, cpu), 5),
    )
    mixed = [random_scene(seed) for seed in range(12)]
    views = [start_camera(made, 128, 128) for made in mixed]
    line(
        "128×128, 2×2, all truth, 12 random scenes",
        12 * 120,
        timed(lambda: [render(w, c, cpu) for w, c in zip(mixed, views, strict=True)], 3),
    )
    world = table()
    places = [(-0.5 + 0.12 * k, -0.1, 0.2) for k in range(8)]
    clip = [world.moved("ball", place) for place in places]
    cameras = [start_camera(world, 64, 64)] * 8
    line("8 frames of 64×64, 2×2, all truth", 150, timed(lambda: render_clip(clip, cameras, cpu)))
    seeds = iter(range(1000))
    line("a story of 8 frames of 64×64, 2×2", 150, timed(lambda: story(next(seeds)), runs=25))
    one, two = start_camera(world, 128, 128), orbit(world.target, 2.5, 3, size=(128, 128))[1]
    line("128×128 flow and occlusion", 60, timed(lambda: correspondence(world, one, two)))
    pairs = [random_scene(seed) for seed in range(8)]
    line(
        "8 stereo pairs of 64×64, a batch",
        None,
        timed(lambda: stereo_batch(pairs, 0.1, (64, 64), cpu), 5),
    )

    if not torch.cuda.is_available():
        print("No GPU here: the bar of 5,000 64×64 frames a second wasn't measured.")
        return
    for samples in (1, 2):
        settings = RenderSettings(device="cuda", samples=samples)
        for count in (64, 256, 1024):
            many = [world.moved("ball", places[k % 8]) for k in range(count)]
            eyes = [start_camera(world, 64, 64)] * count

            def frames(m=many, e=eyes, s=settings) -> None:
                render_batch(m, e, s)
                torch.cuda.synchronize()

            median, _, _ = timed(frames, 8)
            print(
                f"GPU, {count} frames of 64×64, {samples}×{samples}, all truth: "
                f"{1000 * count / median:8.0f} frames a second"
            )
    gpu = RenderSettings(device="cuda")
    pairs = [random_scene(seed % 64) for seed in range(256)]

    def stereo() -> None:
        stereo_batch(pairs, 0.1, (64, 64), gpu)
        torch.cuda.synchronize()

    median, _, _ = timed(stereo, 8)
    print(f"GPU, 256 random stereo pairs of 64×64, 2×2: {256000 / median:8.0f} pairs a second")


if __name__ == "__main__":
    main()
