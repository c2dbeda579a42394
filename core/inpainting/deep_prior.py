"""A net that has never seen a picture fills a hole: the deep image prior (Ulyanov et al. 2018).

A convolutional net with random weights is fitted to the known pixels of this one picture. Nobody
tells it what to paint in the hole. But what such a net finds easy to say is what pictures are like:
the same colours and textures at neighbouring places, at several scales.

The paper's net makes the picture out of noise, min over θ of ‖(1 − m) ⊙ (f_θ(z) − x)‖². Where it has
learned the known pixels well, the hole has filled with noise, and it must be stopped in time: begun at
a membrane, it lost 1.5 dB in 300 iterations on photos of 256². Here the known pixels are asked in the
way the hole will be: copies h of the hole, shifted and turned, hide more of the picture, a membrane
fills everything hidden (`filled`), and the net adds what a membrane lacks:

    min over θ of  E over h of ‖h ⊙ (filled + f_θ(filled, m ∪ h) − x)‖²

So it is judged by pixels that it doesn't see, as "zero-shot" super-resolution does (Shocher et al.
2018), and where they don't tell what was hidden, it does best to add nothing. Its last layer begins
with zeros: the first answer is the membrane. Ever new h, left and right changing places half of the
time, and no random input that would tell places apart: so little is learned by heart. Shown is a
running mean of its outputs (the paper's supplement does so too), each for another h. `best_stop` shows
where it would have been best to stop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.inpainting import levels
from core.inpainting.membrane import bounded
from core.inpainting.types import InpaintSettings, InpaintStep
from core.metrics import psnr
from core.types import Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

EVERY = 25  # iterations between steps
WIDTHS, SKIP = (16, 32, 64, 64, 64), 16  # channels of the levels, and of the connections across
COPIES, FRESH = 32, 5  # the latest copies of the hole are in use; a new one each so many iterations
DRAWS = 20  # tries for a copy that hides something and not everything
RATE, WARM = 0.005, 50  # Adam's rate, reached after so many iterations
MEMORY = 0.99  # of the running mean


def fit(
    image: np.ndarray,
    mask: np.ndarray,
    settings: InpaintSettings = InpaintSettings(method="deep-prior"),
    progress: Progress = silent,
) -> Iterator[InpaintStep]:
    """Fill mask (H, W) bool of image (H, W, 3) uint8: a step every EVERY iterations and at the end,
    with the running mean as its picture and, as loss, that of the mean square error in [0, 1] of the
    pixels that a copy of the hole hides. Any size; time grows with it. The same seed gives the same
    on the same computer. Raises InputError for a hole beyond membrane.MOST_PX."""
    import torch

    began = time.perf_counter()
    bounded(mask)
    net = levels.net(WIDTHS, SKIP, settings.seed)
    rng = np.random.default_rng(settings.seed)
    truth = _padded(image.astype(np.float32) / 255)
    adam = torch.optim.Adam(net.parameters(), RATE)
    asked: deque[Asked] = deque(maxlen=COPIES)
    mean, error, total = truth, 0.0, settings.iterations
    for k in range(1, total + 1):
        if k % FRESH == 1:
            asked.append(_asked(image, mask, rng))
        filled, hidden, copy = asked[int(rng.integers(len(asked)))]
        seen = levels.seen(filled, hidden)
        if turned := bool(rng.integers(2)):  # left and right change places
            seen = seen.flip(3)
        added = net(seen)
        made = filled + hidden * (added.flip(3) if turned else added)
        loss = ((made - truth) ** 2 * copy).sum() / (3 * copy.sum())
        adam.param_groups[0]["lr"] = RATE * min(1.0, k / WARM)
        adam.zero_grad()
        loss.backward()
        adam.step()
        kept = min(MEMORY, (k - 1) / (k + 5))  # a young mean forgets its first outputs faster
        mean = kept * mean + (1 - kept) * made.detach()
        error = kept * error + (1 - kept) * float(loss.detach())
        progress(k / total, desc=f"fitting, iteration {k}")
        if k % EVERY == 0 or k == total:
            seconds = time.perf_counter() - began
            yield InpaintStep(k, total, seconds, levels.to_bytes(mean, image.shape), loss=error)


def best_stop(
    steps: Sequence[InpaintStep], truth: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, int]:
    """PSNR (n,) in dB of each step in the hole, and the place of the step where it is highest."""
    found = np.array([psnr(step.image[mask], truth[mask]) for step in steps])
    return found, int(found.argmax())


Asked = tuple["Tensor", "Tensor", "Tensor"]


def _asked(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Asked:
    """The picture (1, 3, H', W') in [0, 1] with a membrane in the hole and in a copy of it that lies
    elsewhere; what is hidden (1, 1, H', W'), 1 or 0; and what of that the copy alone hides. Where no
    copy hides less than everything, that is all known pixels."""
    rgb, copy, hidden = image.astype(np.float32) / 255, ~mask, mask
    for _ in range(DRAWS):
        moved = np.roll(mask, rng.integers(0, mask.shape), (0, 1))
        moved = moved[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
        if (moved & ~mask).any() and not (moved | mask).all():
            copy, hidden = moved & ~mask, moved | mask
            break
    return _padded(levels.filled(rgb, hidden)), _padded(hidden, 1.0), _padded(copy, 0.0)


def _padded(array: np.ndarray, beyond: float | None = None) -> Tensor:
    return levels.padded(array, len(WIDTHS), beyond)
