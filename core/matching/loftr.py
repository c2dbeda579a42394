"""From EfficientLoFTR's features to matches: coarse cells first, then pixels, then parts of one.

The network (Wang et al., CVPR 2024) gives every 8×8 px cell of both pictures a feature that has
already looked at the other picture. What is left is short enough to read: cells that choose each
other (`coarse_pairs`), and where in such a pair of cells the point lies (`fine_offsets`).

transformers 5.23 does these two steps wrongly, which is why they are here and not taken from
there: its coarse step lists the matches by cell of picture 1 in one row and by cell of picture 0
in the other, so that the rows don't pair up; its fine step takes a softmax over matches
instead of pixels, and reads every window at its first pixel. The network itself is theirs.
"""

from __future__ import annotations

from typing import Any


def coarse_pairs(
    features0: Any,
    features1: Any,
    grid: tuple[int, int],
    temperature: float,
    threshold: float,
    border: int,
) -> tuple[Any, Any, Any]:
    """Cells that choose each other: the paper's dual softmax and mutual nearest neighbours.

    features (cells, C) tensors, row by row of a grid of (rows, columns). A pair's confidence is
    the share it gets among all partners of one cell times its share among those of the other.
    Returns cell numbers in picture 0 and 1 and confidences, all (K,). Cells within `border` of
    the edge are left out.
    """
    import torch

    similarity = features0 @ features1.T / (features0.shape[1] * temperature)
    confidence = similarity.softmax(0) * similarity.softmax(1)
    inner = torch.zeros(grid, dtype=torch.bool, device=confidence.device)
    inner[border : grid[0] - border, border : grid[1] - border] = True
    inner = inner.flatten()
    nearest1, nearest0 = confidence.argmax(1), confidence.argmax(0)
    cells0 = torch.arange(len(nearest1), device=confidence.device)
    mutual = nearest0[nearest1] == cells0
    wanted = confidence.amax(1) > threshold
    cells0 = cells0[mutual & wanted & inner & inner[nearest1]]
    cells1 = nearest1[cells0]
    return cells0, cells1, confidence[cells0, cells1]


def fine_offsets(windows0: Any, windows1: Any, last: int, temperature: float) -> tuple[Any, Any]:
    """Where in each matched cell the point lies: offsets (K, 2) px from the cells' corners.

    windows0 (K, w², C) are the pixels of the cell in picture 0, windows1 (K, (w+2)², C) those in
    picture 1 with a border of one. First the pair of pixels that fits best (all but the `last`
    channels), then, in picture 1, the mean place over 3×3 pixels (the `last` channels).
    """
    import torch

    k, pixels, channels = windows0.shape
    if k == 0:
        return windows0.new_zeros(0, 2), windows0.new_zeros(0, 2)
    side = round(pixels**0.5)
    similarity = windows0[..., :-last] @ windows1[..., :-last].transpose(1, 2) / channels
    fit = similarity.softmax(1) * similarity.softmax(2)
    fit = fit.unflatten(2, (side + 2, side + 2))[:, :, 1:-1, 1:-1].flatten(1)
    best = fit.argmax(1)
    pixel0, pixel1 = best // pixels, best % pixels

    def place(pixel: Any) -> Any:
        # The network was trained with pixel p of a window at p - w/2 + 1/2 from its corner.
        return torch.stack([pixel % side, pixel // side], 1) - side / 2 + 0.5

    each = torch.arange(k, device=best.device)
    query = windows0[each, pixel0, -last:]  # (K, last)
    heat = (windows1[..., -last:] @ query[..., None])[..., 0] / last**0.5
    heat = heat.unflatten(1, (side + 2, side + 2))
    step = torch.tensor([-1, 0, 1], device=best.device)
    # The trained weights expect pixel p's own number in the bordered window, not p + 1.
    row = (pixel1 // side)[:, None, None] + step[:, None]
    column = (pixel1 % side)[:, None, None] + step
    weight = (heat[each[:, None, None], row, column] / temperature).flatten(1).softmax(1)
    weight = weight.unflatten(1, (3, 3))
    nudge = torch.stack([(weight.sum(1) * step).sum(1), (weight.sum(2) * step).sum(1)], 1)
    return place(pixel0), place(pixel1) + nudge
