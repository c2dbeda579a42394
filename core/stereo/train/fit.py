"""Fitting the matching cost: every visible pixel of a made-up pair is a question with an answer.

Softmax over d makes a row's scores the probability that d is right for the left pixel; softmax
over the left pixels that claim the same right pixel makes it one for that pixel. Both count, since
partners choose each other: the loss is the cross-entropy of both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.stereo import learned
from core.stereo.train import textures, world

if TYPE_CHECKING:
    from torch import Tensor

    from core.stereo.train.world import Sample

COUNT = 72  # disparities in training; any range will do later
GROUNDS = 160  # textures at hand at any time; one is exchanged before each step
SIZE = (320, 192)
EDGES = 3.0  # extra weight within 6 px of a jump
ROWS = 4  # one row in so many enters the loss: neighbours tell the same story


def start(seed: int = 0) -> dict[str, Tensor]:
    """Random weights (He et al. 2015) that require gradients."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in learned.shapes().items():
        fan = float(np.prod(shape[1:]))
        scale = (2 / fan) ** 0.5 * (0.3 if name.startswith("context") else 1)
        value = torch.randn(shape, generator=draw) * scale if len(shape) > 1 else torch.zeros(shape)
        made[name] = value.requires_grad_()
    return made


def loss(
    weights: Mapping[str, Tensor], samples: list[Sample], rows: slice = slice(None)
) -> Tensor:
    """Mean cross-entropy over the visible pixels of some rows, both ways; samples of one size."""
    import torch

    pictures = [np.stack([getattr(s, side) for s in samples]) for side in ("left", "right")]
    both = torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2).float()
    way, sharp = learned.features(weights, both, rows)
    n = len(samples)
    product = learned.scores(way[:n], way[n:], 0, COUNT)
    of_left, of_right = both_ways(product, sharp[:n], sharp[n:], 0)
    truth = torch.from_numpy(np.stack([s.disparity[rows] for s in samples]))
    known = torch.from_numpy(np.stack([s.visible[rows] for s in samples]))
    known = known & (truth >= 0) & (truth < COUNT - 1)
    weight = _weight(samples)[:, rows][known]
    low = truth.nan_to_num(0).clamp(0, COUNT - 2).floor()
    share = (truth - low)[known]
    index = low.long()[..., None]
    total = torch.zeros(())
    for log_p in (of_left, of_right):
        below = log_p.gather(3, index)[..., 0][known].clamp(min=-50)
        above = log_p.gather(3, index + 1)[..., 0][known].clamp(min=-50)
        total = total - (weight * ((1 - share) * below + share * above)).sum()
    return total / (2 * weight.sum())


def both_ways(
    product: Tensor, sharp_left: Tensor, sharp_right: Tensor, first: int
) -> tuple[Tensor, Tensor]:
    """log p(d | left pixel) and log p(d | right pixel), both (B, H, W, D) over the left picture.

    product as of learned.scores; sharp_left, sharp_right (B, H, W). −1e4 where the partner lies
    outside the right picture.
    """
    import torch
    import torch.nn.functional as F

    batch, height, width, count = product.shape
    partner = torch.arange(width)[:, None] - first - torch.arange(count)
    outside = (partner < 0) | (partner >= width)
    of_left = (product * sharp_left[..., None]).masked_fill(outside, -1e4)
    of_left = of_left.log_softmax(3)
    index = partner.clamp(0, width - 1)
    claims = (product * sharp_right[:, :, index]).masked_fill(outside, -1e4)
    # the right pixel x − d is claimed by x at d: shear the block so that its claims share a row
    before, after = max(-first, 0) + count, max(first, 0) + count
    sheared = F.pad(claims, (0, 0, before, after), value=-1e4).contiguous()
    wide = sheared.shape[2]
    sheared = sheared.as_strided(
        (batch, height, width, count), (height * wide * count, wide * count, count, count + 1),
        sheared.storage_offset() + (before + first) * count,
    )  # fmt: skip
    total = sheared.logsumexp(3)  # (B, H, W) of the right picture
    return of_left, (claims - total[:, :, index]).masked_fill(outside, -1e4)


def _weight(samples: list[Sample]) -> Tensor:
    """(B, H, W): 1, and more near jumps of the disparity, where a wide view tempts the network to
    let a near thing's pattern speak for the wall beside it."""
    import cv2
    import torch

    weights = []
    for sample in samples:
        d = np.nan_to_num(sample.disparity, nan=-1)
        jump = cv2.dilate(d, np.ones((3, 3))) - cv2.erode(d, np.ones((3, 3))) > 1
        near = cv2.dilate(jump.astype(np.uint8), np.ones((13, 13)))
        weights.append(1 + EDGES * near.astype(np.float32))
    return torch.from_numpy(np.stack(weights))


def samples(seed: int, cache: Path | None, each: int = 2) -> Iterator[list[Sample]]:
    """Batches without end: made-up pairs, and cut-outs of rendered ones where a cache is given."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng((seed, 3))
    grounds = [textures.texture(rng) for _ in range(GROUNDS)]
    while True:
        grounds[int(rng.integers(GROUNDS))] = textures.texture(rng)
        files = sorted(cache.glob("*.npz")) if cache else []
        batch = []
        for _ in range(each):
            if files and rng.random() < 0.15:
                batch.append(_cut(files[int(rng.integers(len(files)))], rng))
            else:
                most = float(rng.choice([16, 32, 48, 64, 70]))
                batch.append(world.pair(rng.integers(0, 2**31, 2).tolist(), grounds, SIZE, most))
        yield batch


def render(folder: Path, count: int) -> Path:
    """Fills the folder with `count` rendered pairs, those held out for measuring left out."""
    from core.stereo.train.measure import HELD_OUT

    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(HELD_OUT, HELD_OUT + count):
        file = folder / f"{seed:05d}.npz"
        if not file.exists():
            np.savez(file, **vars(world.rendered(seed)))
    return folder


def _cut(file: Path, rng: np.random.Generator) -> Sample:
    """A part of a rendered pair, seen by imperfect cameras."""
    with np.load(file) as saved:
        whole = world.Sample(**saved)
    h, w = whole.disparity.shape
    y, x = int(rng.integers(0, h - SIZE[1] + 1)), int(rng.integers(0, w - SIZE[0] + 1))
    part = np.s_[y : y + SIZE[1], x : x + SIZE[0]]
    visible = whole.visible[part] & (np.arange(SIZE[0]) >= whole.disparity[part])
    seen = world.cameras(
        whole.left[part].astype(np.float32), whole.right[part].astype(np.float32), rng
    )
    left, right = (world.as_bytes(picture) for picture in seen)
    return world.Sample(left, right, whole.disparity[part], visible)


def fit(
    out: Path, minutes: float, rate: float = 2e-3, seed: int = 0, cache: Path | None = None,
    tell: Callable[[str], object] = print,
) -> dict[str, Tensor]:  # fmt: skip
    """Train for so long in all; goes on from out/cost.pt if that is there. Returns the mean of
    the last weights (an exponential moving average), which is what ships."""
    import torch

    weights = start(seed)
    optimiser = torch.optim.AdamW(list(weights.values()), lr=rate, weight_decay=1e-4)
    mean = {name: value.detach().clone() for name, value in weights.items()}
    step, spent, file = 0, 0.0, out / "cost.pt"
    if file.exists():
        state = torch.load(file, weights_only=True)
        for name, value in weights.items():
            value.data.copy_(state["weights"][name])
        optimiser.load_state_dict(state["optimiser"])
        mean, step, spent = state["mean"], state["step"], state["spent"]
    began, saved, recent = time.perf_counter() - spent, spent, []
    for batch in samples(seed + step, cache):
        spent = time.perf_counter() - began
        done = spent / (60 * minutes)
        if done - 1e-9 > 1 or spent - saved > 120:
            saved = spent
            state = {"weights": weights, "mean": mean, "step": step, "spent": spent}
            state["optimiser"] = optimiser.state_dict()
            torch.save(state, file.with_suffix(".part"))
            file.with_suffix(".part").replace(file)
            tell(f"{spent / 60:5.1f} min, step {step}: loss {np.mean(recent[-200:]):.4f}")
        if done > 1:
            return mean
        for group in optimiser.param_groups:  # a short warm-up, then down along a cosine
            group["lr"] = rate * min(1, (step + 1) / 100) * (0.02 + 0.98 * _cosine(done))
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(weights, batch, slice(step % ROWS, None, ROWS))
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        optimiser.step()
        step += 1
        recent.append(float(value.detach()))
        keep = min(0.998, step / (step + 10))
        for name, moving in mean.items():
            moving.lerp_(weights[name].detach(), 1 - keep)
    raise AssertionError("samples never end")


def _cosine(done: float) -> float:
    return 0.5 + 0.5 * float(np.cos(np.pi * min(done, 1.0)))
