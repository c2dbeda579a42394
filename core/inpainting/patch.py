"""Fill a hole with pieces of the picture that surrounds it: multi-scale PatchMatch with voting.

Two steps take turns, after Wexler, Shechtman and Irani 2007, "Space-time completion of video":

    search   each patch that touches the hole finds the most similar one fully outside it
    vote     each hidden pixel lies in many such patches; it becomes the mean of what their partners
             show at its place, the similar ones counting most

The search is PatchMatch (Barnes et al. 2009): begin with any guess, take over what neighbours
found (shifted by as much as they are apart), try at random ever closer to the best so far. Good
guesses are rare but spread fast, for neighbours in one picture are mostly neighbours in the other.
Here all patches do so at once, and neighbours stand 1, 2, 4 … pixels away, so that news crosses a
hole in a few steps (jump flooding) and NumPy does the work.

It begins where the hole is a few pixels wide (see `pyramid`), with rings from its edge inwards, and
each level's answer is the next one's first guess. Patches are compared by their 24 principal
components instead of several hundred numbers: as good a comparison, at a tenth of the price.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from core.inpainting import pyramid
from core.inpainting.membrane import Membrane, bounded
from core.inpainting.types import check
from core.inpainting.windows import box, window
from core.types import InputError, Progress, Settings, Snapshot, setting, silent

COMPONENTS = 24
JUMPS = (8, 4, 2, 1)
# A partner a whole picture's length away, down or across, counts as so much less alike, as patches
# differ from their mean: what a camera sees lies in layers, and what is near is of one kind.
NEAR = (2.0, 0.3)
_WIDE, _NARROW = 0.5, 0.01  # the vote's kernel in the first round and in the last
_INWARDS = 1.3  # a patch counts so much less for each pixel that it lies further from the edge
_SEEN = 0.3  # a ring's patches have so large a share of known pixels
_GUESSES = 2500  # rings are compared with at most so many patches
_CHUNK = 1 << 13  # patches or pixels worked on at a time


@dataclass(frozen=True)
class PatchSettings(Settings):
    """How `fill` works."""

    patch_px: int = setting(
        7, "Patch size", "Larger keeps larger structures together; smaller fits in more places. "
        "Odd.", minimum=3, maximum=15, step=2, unit="px",
    )  # fmt: skip
    levels: int = setting(
        0, "Levels", "How often the picture is halved before the hole is filled, plus one. "
        "0 chooses by the hole's width.", minimum=0, maximum=8, step=1, advanced=True,
    )  # fmt: skip
    rounds: int = setting(
        8, "Rounds", "Of search and vote on the coarsest level; finer ones take fewer.",
        minimum=1, maximum=30, step=1, advanced=True,
    )  # fmt: skip
    seed: int = setting(
        0, "Seed", "Another seed finds another filling.", minimum=0, maximum=2**31 - 1, step=1,
        advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_px % 2 == 0:
            raise InputError(
                f"Patch size is {self.patch_px}, but a patch has a middle. Choose an odd number."
            )


@dataclass(frozen=True)
class PatchStep(Snapshot):
    """One round.

    level 0 is the picture itself, level k is 2ᵏ times smaller; round counts from 1 at each level. image (H, W, 3) uint8 is the whole picture as filled so far. offsets
    (⌈H/2ᵏ⌉, ⌈W/2ᵏ⌉, 2) float32 dx, dy: where the patch around each hidden pixel of that level has
    its partner, in pixels of that level; NaN outside the hole. patch_px is the size used, smaller
    than asked for where no patch of that size lies outside the mask.
    """

    level: int
    round: int
    image: np.ndarray
    offsets: np.ndarray
    patch_px: int


def fill(
    image: np.ndarray,
    mask: np.ndarray,
    settings: PatchSettings = PatchSettings(),
    progress: Progress = silent,
) -> Iterator[PatchStep]:
    """Fill the mask of image (H, W, 3) uint8 from the rest of it; the last step holds the answer.

    mask (H, W) bool, True = fill. Outside it every step's image has the input's bytes. Raises
    InputError for a mask that is empty, full, of another size, too large (membrane.MOST_PX), or
    leaves nothing to copy from.
    """
    began = time.perf_counter()
    check(image, mask)
    bounded(mask)
    part = window(box(mask), mask.shape)
    size = pyramid.patch_that_fits(mask[part], settings.patch_px)
    pictures = pyramid.levels(image[part], mask[part], size, settings.levels or 8)
    rounds = [max(2, settings.rounds - 2 * k) for k in range(len(pictures))][::-1]
    rng = np.random.default_rng(settings.seed)
    total, step, coarser = sum(rounds), 0, None
    for level in range(len(pictures) - 1, -1, -1):
        job = _Job(pictures[level], size, rng)
        if coarser is None:
            job.rings()
        else:
            job.continue_from(coarser)
        for k in range(rounds[level]):
            job.search(wide=coarser is None or k == 0)
            step += 1
            job.vote(sharp=step / total)
            progress(step / total, desc=f"level {level}, round {k + 1}")
            offsets = np.full((*(-(-n // 2**level) for n in mask.shape), 2), np.nan, np.float32)
            top, left = (p.start // 2**level for p in part)
            offsets[top : top + job.height, left : left + job.width] = job.offsets()
            filled = image.copy()
            filled[part] = _pasted(image[part], mask[part], job.channels[..., :3])
            yield PatchStep(
                step, total, time.perf_counter() - began, level, k + 1, filled, offsets, size
            )
        coarser = job


def _both(work: Callable[[np.ndarray], np.ndarray], places: np.ndarray) -> np.ndarray:
    """What `work` makes of places (n,), a part at a time on two cores: NumPy lets go of the lock."""
    parts = [places[i : i + _CHUNK] for i in range(0, len(places), _CHUNK)]
    if len(parts) < 2:
        return work(places)
    with ThreadPoolExecutor(2) as pool:
        return np.concatenate(list(pool.map(work, parts)))


def _pasted(image: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """The picture with its hole filled from `colour`, enlarged if that is of a coarse level."""
    import cv2

    while colour.shape[0] < mask.shape[0] or colour.shape[1] < mask.shape[1]:
        colour = cv2.resize(colour, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)  # type: ignore
    full = image.copy()
    seen = colour[: mask.shape[0], : mask.shape[1]][mask]
    full[mask] = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return full


class _Job:
    """One level. Places are numbers into the flattened picture: y·width + x.

    channels (H, W, C) float32, filled as work goes on; at (n,) the places of patches that touch the
    hole; partner (n,) the place of each one's best patch so far; cost (n,) how far they differ;
    depth (n,) px their own from the hole's edge.
    """

    def __init__(self, level: pyramid.Level, size: int, rng: np.random.Generator) -> None:
        import cv2

        self.size, self.rng, self.hole = size, rng, level.hole
        self.channels = level.channels.copy()
        self.flat = self.channels.reshape(-1, self.channels.shape[2])  # a view
        self.height, self.width = self.hole.shape
        r = size // 2
        rows, columns = np.mgrid[-r : r + 1, -r : r + 1]
        self.window = (rows * self.width + columns).ravel()  # from a patch's middle to its pixels
        self.starts = self.window[::size]  # of a patch's rows, whose pixels lie side by side
        c = self.flat.shape[1]
        self.stripes = np.lib.stride_tricks.as_strided(
            self.flat, (len(self.flat) - size + 1, size * c), self.flat.strides, writeable=False
        )  # a view too
        self.allowed = pyramid.sources(self.hole, size).ravel()
        self.source = np.flatnonzero(self.allowed)
        self.at = np.flatnonzero(pyramid.targets(self.hole, size))
        self.slot = np.full(self.hole.size, -1, np.int32)
        self.slot[self.at] = np.arange(len(self.at))
        self.partner = rng.choice(self.source, len(self.at))
        self.cost = np.full(len(self.at), np.inf, np.float32)
        depth = cv2.distanceTransform(self.hole.astype(np.uint8), cv2.DIST_L2, 3).ravel()
        self.depth = depth[self.at]
        self.pixels = np.flatnonzero(self.hole)
        self.skin: Membrane | None = None
        self._learn()

    # ------------------------------------------------ describing patches

    def _patches(self, places: np.ndarray) -> np.ndarray:
        """(n, size²·C): their channels as they stand now."""
        return self.stripes[places[:, None] + self.starts].reshape(len(places), -1)

    def _learn(self) -> None:
        """The directions in which this picture's patches differ most, and all sources in them."""
        few = self.rng.choice(self.source, min(2000, len(self.source)), replace=False)
        some = self._patches(few)
        self.mean = some.mean(0)
        some = some - self.mean
        self.basis = self._main_directions(some)
        spread = float((some**2).sum(1).mean())
        self.far = np.sqrt(spread * np.array(NEAR)) / max(self.height, self.width)
        self.known = np.zeros((self.hole.size, self.basis.shape[1] + 2), np.float32)
        self.known[self.source] = self._described(self.source)

    def _main_directions(self, patches: np.ndarray) -> np.ndarray:
        """(size²·C, COMPONENTS): an orthonormal basis of what patches (n, size²·C) mostly are.
        Power iteration of a whole subspace: all that distances need, and faster than eigenvectors.
        """
        scatter = patches.T @ patches
        basis = self.rng.normal(size=(len(scatter), COMPONENTS)).astype(np.float32)
        for _ in range(5):
            basis = np.linalg.qr(scatter @ basis)[0]
        return basis

    def _described(self, places: np.ndarray) -> np.ndarray:
        """(n, COMPONENTS + 2) float32."""
        shift = self.mean @ self.basis
        parts = _both(lambda part: self._patches(part) @ self.basis - shift, places)
        return np.hstack([parts, self._where(places)])

    def _where(self, places: np.ndarray) -> np.ndarray:
        """(n, 2) float32: two more components, that make near places alike."""
        return (np.stack(np.divmod(places, self.width), 1) * self.far).astype(np.float32)

    # ------------------------------------------------ the first guess

    def rings(self) -> None:
        """From the hole's edge inwards, one ring of pixels at a time: patches around it are
        compared, by their known pixels alone, with every other (or many of them)."""
        few = self.source
        if len(few) > _GUESSES:
            few = self.rng.choice(few, _GUESSES, replace=False)
        others = self._patches(few).T  # (size²·C, m)
        c = self.flat.shape[1]
        squares = (others**2).reshape(len(self.window), c, -1).sum(1)  # (size², m)
        left = self.hole.copy()
        while left.any():
            ring = left & pyramid.grown(~left, 3)
            near = self.at[pyramid.grown(ring, self.size).ravel()[self.at]]
            seen = ~left.ravel()[near[:, None] + self.window]
            enough = seen.mean(1) > _SEEN
            near, seen = near[enough], seen[enough]
            slots = self.slot[near]
            for i in range(0, len(near), 1024):
                part = slice(i, i + 1024)
                mine = self._patches(near[part]) * np.repeat(seen[part], c, 1)
                apart = seen[part].astype(np.float32) @ squares - 2 * mine @ others
                share = seen[part].mean(1, keepdims=True).astype(np.float32)
                for axis in (0, 1):
                    off = self._where(near[part])[:, None, axis] - self._where(few)[:, axis]
                    apart += off * off * share
                best = apart.argmin(1)
                self.partner[slots[part]] = few[best]
                lowest = apart[np.arange(len(best)), best] + (mine**2).sum(1)
                self.cost[slots[part]] = np.maximum(lowest, 0) / seen[part].mean(1)
            self._voted(np.flatnonzero(ring), 0.3)
            left &= ~ring
        self.mend()
        self.cost[:] = np.inf

    def continue_from(self, coarse: _Job) -> None:
        """Partners twice as far away as on the coarser level, and what they say."""
        y, x = np.divmod(self.at, self.width)
        parent = coarse.nearest_target(y // 2, x // 2)
        py, px = np.divmod(coarse.at[parent], coarse.width)
        sy, sx = np.divmod(coarse.partner[parent], coarse.width)
        place = self._place(y + 2 * (sy - py), x + 2 * (sx - px))
        fits = self.allowed[place]
        self.partner[fits] = place[fits]
        self.cost = np.where(fits, coarse.cost[parent], np.inf).astype(np.float32)
        small = coarse.channels.repeat(2, 0).repeat(2, 1)[: self.height, : self.width]
        self.channels[self.hole] = small[self.hole]
        self._voted(self.pixels, 0.3)
        self.mend()
        self.cost[:] = np.inf

    def nearest_target(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The slots of the patches around these pixels, or next to them at the picture's edge."""
        r = self.size // 2
        y = np.clip(y, r, self.height - 1 - r)
        x = np.clip(x, r, self.width - 1 - r)
        slot = self.slot[y * self.width + x]
        if (slot < 0).any():
            from scipy.ndimage import distance_transform_edt

            empty = (self.slot < 0).reshape(self.hole.shape)
            _, (ny, nx) = distance_transform_edt(empty, return_indices=True)  # type: ignore
            slot = self.slot[ny[y, x] * self.width + nx[y, x]]
        return slot

    def _place(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.clip(y, 0, self.height - 1) * self.width + np.clip(x, 0, self.width - 1)

    # ------------------------------------------------ search

    def search(self, wide: bool) -> None:
        """One round of PatchMatch against the hole as it is filled now."""
        self.mine = self._described(self.at)
        self.cost = self._apart(np.arange(len(self.at)), self.partner)
        for jump in JUMPS:
            for shift in (-jump, jump, -jump * self.width, jump * self.width):
                # flat shifts wrap at the picture's sides: just one more guess
                slot = self.slot[np.clip(self.at + shift, 0, len(self.slot) - 1)]
                there = np.flatnonzero(slot >= 0)
                self._offer(there, self.partner[slot[there]] - shift)
        radius = max(self.height, self.width) if wide else 16
        everyone = np.arange(len(self.at))
        while radius >= 1:
            y, x = np.divmod(self.partner, self.width)
            move = self.rng.integers(-radius, radius + 1, (2, len(self.at)))
            self._offer(everyone, self._place(y + move[0], x + move[1]))
            radius //= 2

    def _offer(self, slots: np.ndarray, places: np.ndarray) -> None:
        """These patches take these places as partners where that is allowed and better."""
        inside = (places >= 0) & (places < len(self.allowed))
        slots, places = slots[inside], places[inside]
        new = self.allowed[places] & (places != self.partner[slots])
        slots, places = slots[new], places[new]
        cost = self._apart(slots, places)
        better = cost < self.cost[slots]
        self.partner[slots[better]] = places[better]
        self.cost[slots[better]] = cost[better]

    def _apart(self, slots: np.ndarray, places: np.ndarray) -> np.ndarray:
        gap = np.take(self.mine, slots, 0)
        gap -= np.take(self.known, places, 0)
        return np.einsum("ij,ij->i", gap, gap)

    # ------------------------------------------------ vote

    def vote(self, sharp: float) -> None:
        """Hidden pixels take what their patches say. sharp 0: a mean of many; 1: nearly the best."""
        self._voted(self.pixels, _WIDE * (_NARROW / _WIDE) ** sharp)
        self.mend()

    def _voted(self, pixels: np.ndarray, width: float) -> None:
        told = _both(lambda part: self._told(part, width), pixels)
        some = np.isfinite(told[:, 0])
        self.flat[pixels[some]] = told[some]

    def _told(self, pixels: np.ndarray, width: float) -> np.ndarray:
        """(n, C) what patches say about these pixels, hidden or beside the hole; NaN where none
        has a partner. width: of the kernel that turns costs into weights, in typical costs."""
        slots = np.empty((len(self.window), len(pixels)), np.int32)
        for k, shift in enumerate(self.window):
            slots[k] = self.slot[np.clip(pixels - shift, 0, len(self.slot) - 1)]
        cost = np.where(slots >= 0, self.cost[slots], np.inf)
        best = cost.min(0)
        some = np.isfinite(best)
        n = len(pixels)
        pixels, slots, cost, best = pixels[some], slots[:, some], cost[:, some], best[some]
        finite = np.isfinite(cost)
        typical = np.where(finite, cost, 0).sum(0) / finite.sum(0)
        depth = np.where(finite, self.depth[slots], np.inf)
        trust = _INWARDS ** (depth.min(0) - depth)  # beside the best: alone it would soon be 0
        weight = np.exp((best - cost) / (width * typical + 1e-3)) * trust
        total = np.zeros((len(pixels), self.flat.shape[1]), np.float32)
        for k, shift in enumerate(self.window):
            said = np.take(self.flat, self.partner[slots[k]] + shift, 0, mode="clip")
            total += weight[k][:, None] * said
        told = np.full((n, self.flat.shape[1]), np.nan, np.float32)
        told[some] = total / weight.sum(0)[:, None]
        return told

    def mend(self) -> None:
        """The filling's colours, moved so that they fit those around it."""
        if self.skin is None:
            self.skin = Membrane(self.hole)
        told = _both(lambda part: self._told(part, 0.1), self.skin.rim)
        gap = np.nan_to_num(self.flat[self.skin.rim] - told)  # no patch reaches a corner
        self.flat[self.pixels] += self.skin.inside(gap)

    def offsets(self) -> np.ndarray:
        """(H, W, 2) float32 dx, dy from each hidden pixel's patch to its partner, NaN elsewhere."""
        y, x = np.divmod(self.pixels, self.width)
        slot = self.nearest_target(y, x)
        ty, tx = np.divmod(self.at[slot], self.width)
        sy, sx = np.divmod(self.partner[slot], self.width)
        found = np.full((self.hole.size, 2), np.nan, np.float32)
        found[self.pixels] = np.stack([sx - tx, sy - ty], 1)
        return found.reshape(self.height, self.width, 2)
