"""Where a ray meets a shape, and which way the surface faces there.

Each shape is solved in its own axes, centred at the origin. Convex solids are cut out by simple
bounds (slabs, a round wall, a cone's wall): the ray is inside each for an interval of t, and
inside the solid where the intervals overlap, so it enters at the latest entry and leaves at the
earliest exit. The torus is a quartic, solved between the extremes of its polynomial; the height
field is walked down with steps that can't jump over it.

Rays are torch tensors (3, P), components first: a dot product of rows is then three fast products
instead of a slow sum over three neighbours. Unless said otherwise: o (3, P) origins, d (3, P) unit
directions, half (3, P) half sizes; t (P,) distances along d, inf where the ray misses.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CODES = {
    "sphere": 0, "box": 1, "cylinder": 2, "cone": 3, "torus": 4, "plane": 5, "heightfield": 6,
}  # fmt: skip
WAVES = 7  # sine waves that a height field is made of


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Scalar product over the first axis of three."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def intersect(code: int, o: Tensor, d: Tensor, half: Tensor, waves: Tensor) -> Tensor:
    """The first t > 0 at which each ray meets its shape. waves (4, WAVES, P) of height fields.

    Rays start near the shape's centre here (at the closest point to it), because
    squares of large numbers would cost the digits that decide a hit.
    """
    import torch

    ahead = -dot(o, d)
    near = o + ahead * d
    if code == CODES["torus"]:
        return _torus(near, d, half, ahead)
    if code == CODES["heightfield"]:
        return _heightfield(near, d, half, waves, ahead)
    if code == CODES["plane"]:
        t = -near[2] / _nonzero(d[2])
        hit = near + t * d
        inside = (hit[0].abs() <= half[0]) & (hit[1].abs() <= half[1]) & (t + ahead > 0)
        return torch.where(inside, t + ahead, math.inf)
    enter, leave = {0: _ball, 1: _slabs, 2: _cylinder, 3: _cone}[code](near, d, half)
    t = torch.where(enter + ahead > 0, enter, leave) + ahead
    return torch.where((enter < leave) & (t > 0), t, math.inf)


def _nonzero(x: Tensor) -> Tensor:
    """x, with tiny values pushed off zero so that a parallel ray divides without NaN."""
    import torch

    return torch.where(x.abs() < 1e-12, 1e-12, x)


def _roots(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Where a·t² + 2b·t + c ≤ 0, for a > 0: (first, last), or (inf, -inf) where nowhere."""
    import torch

    square = b * b - a * c
    some = square > 0
    root = square.clamp(min=0).sqrt()
    return (
        torch.where(some, (-b - root) / a, math.inf),
        torch.where(some, (-b + root) / a, -math.inf),
    )


def _ball(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    square = half[0] * half[0] - dot(o, o)  # o is the closest point, so o·d = 0
    root = square.clamp(min=0).sqrt()
    return torch.where(square > 0, -root, math.inf), root


def _slab(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """The interval in which |o + t·d| ≤ half, for one axis or several at once."""
    inverse = 1 / _nonzero(d)
    middle, reach = -o * inverse, half * inverse.abs()
    return middle - reach, middle + reach


def _slabs(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    enter, leave = _slab(o, d, half)
    return enter.amax(0), leave.amin(0)


def _cylinder(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    a = (d[0] * d[0] + d[1] * d[1]).clamp(min=1e-14)
    b = o[0] * d[0] + o[1] * d[1]
    first, last = _roots(a, b, o[0] * o[0] + o[1] * o[1] - half[0] * half[0])
    low, high = _slab(o[2], d[2], half[2])
    return first.maximum(low), last.minimum(high)


def _cone(o: Tensor, d: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """x² + y² ≤ k²(h − z)² between z = −h and the tip at h.

    That is a double cone; the slab removes the upper one. A ray steeper than the wall (a < 0) is
    inside outside the roots: its half below the tip is after them going down, before going up.
    """
    import torch

    k2 = (half[0] / (2 * half[2])) ** 2
    below = half[2] - o[2]
    a = d[0] * d[0] + d[1] * d[1] - k2 * d[2] * d[2]
    a = torch.where(a.abs() < 1e-12, 1e-12, a)
    b = o[0] * d[0] + o[1] * d[1] + k2 * below * d[2]
    c = o[0] * o[0] + o[1] * o[1] - k2 * below * below
    square = b * b - a * c
    root = square.clamp(min=0).sqrt()
    one, two = (-b - root) / a, (-b + root) / a
    low, high = torch.minimum(one, two), torch.maximum(one, two)
    flat = (a > 0) & (square > 0)
    down = (a < 0) & (d[2] < 0)
    up = (a < 0) & (d[2] >= 0)
    first = torch.where(flat, low, torch.where(down, high, torch.where(up, -math.inf, math.inf)))
    last = torch.where(flat, high, torch.where(up, low, torch.where(down, math.inf, -math.inf)))
    bottom, top = _slab(o[2], d[2], half[2])
    return first.maximum(bottom), last.minimum(top)


def _torus(o: Tensor, d: Tensor, half: Tensor, ahead: Tensor) -> Tensor:
    """(|p|² + R² − r²)² = 4R²(x² + y²), in float64.

    With o the closest point to the centre, o·d = 0 and the quartic has no cubic term:
    f(t) = t⁴ + p·t² + q·t + s. Its slope 4t³ + 2p·t + q has up to three roots in closed form
    (Viète); a ray enters the tube on the way down to a minimum of f that lies below zero, and a
    ray that starts inside leaves on the next way up. There f is monotone, so Newton steps kept
    inside a shrinking bracket find the root to the last digit.
    """
    import torch

    o, d = o.double(), d.double()
    tube = half[2].double()
    ring = half[0].double() - tube
    m = dot(o, o) + ring * ring - tube * tube
    four = 4 * ring * ring
    p = 2 * m - four * (1 - d[2] * d[2])
    q = 2 * four * o[2] * d[2]
    s = m * m - four * (o[0] * o[0] + o[1] * o[1])

    def f(t: Tensor) -> Tensor:
        return ((t * t + p) * t + q) * t + s

    # roots of t³ + (p/2)·t + q/4: three by cosines, or one by Cardano
    a, b = p / 2, q / 4
    turn = (a / 3) ** 3 + (b / 2) ** 2
    scale = (-a / 3).clamp(min=1e-30).sqrt()
    angle = ((-b / 2) / scale**3).clamp(-1, 1).acos() / 3
    right, middle, left = (2 * scale * (angle - k * 2 * math.pi / 3).cos() for k in (0, 1, 2))
    middle, left = torch.maximum(middle, left), torch.minimum(middle, left)
    spread = turn.clamp(min=0).sqrt()
    big = -b / 2 - torch.where(b > 0, spread, -spread)
    big = big.sign() * big.abs() ** (1 / 3)
    only = big - a / (3 * torch.where(big.abs() < 1e-30, 1e-30, big))
    single = turn > 0
    left, middle, right = (torch.where(single, only, e) for e in (left, middle, right))

    reach = half[0].double() * 1.01
    start = -ahead.double()
    t = torch.full_like(p, math.inf)
    # the second way in is tried first, so that the first one overwrites it
    for low, high in ((middle, right), (-reach, left)):
        way_in = (f(low) > 0) & (f(high) <= 0)
        root = _between(f, p, q, low, high)
        t = torch.where(way_in & (root > start), root, t)
    within = f(start) < 0
    if bool(within.any()):
        for low, high in ((right, reach), (left, middle)):
            way_out = within & (f(low) <= 0) & (f(high) > 0)
            root = _between(f, p, q, high, low)
            t = torch.where(way_out & (root > start), root, t)
    return (t - start).to(ahead.dtype)


def _between(f, p: Tensor, q: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """The root of f(t) = t⁴ + p·t² + q·t + s between a place above zero and one below it."""
    import torch

    guess = (above + below) / 2
    for _ in range(14):
        value = f(guess)
        above = torch.where(value > 0, guess, above)
        below = torch.where(value > 0, below, guess)
        slope = (4 * guess * guess + 2 * p) * guess + q
        step = guess - value / torch.where(slope.abs() < 1e-30, 1e-30, slope)
        # at the root itself rounding may point a hair outside: that is no reason to bisect
        low, high = torch.minimum(above, below), torch.maximum(above, below)
        good = (step > low - 1e-9) & (step < high + 1e-9)
        guess = torch.where(good, step, (above + below) / 2)
    return guess


def height(x: Tensor, y: Tensor, half: Tensor, waves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Height z (P,) of a height field at x, y (P,) and its slopes dz/dx, dz/dy.

    A sum of sine waves (4, WAVES, P): turns across x, across y, phase, amplitude (their sum is 1).
    """
    turns_x, turns_y, phase, amplitude = waves
    angle = turns_x * (x / half[0]) + turns_y * (y / half[1]) + phase
    z = (amplitude * angle.sin()).sum(0) * half[2]
    steep = amplitude * angle.cos() * half[2]
    return z, (steep * turns_x).sum(0) / half[0], (steep * turns_y).sum(0) / half[1]


def _heightfield(o: Tensor, d: Tensor, half: Tensor, waves: Tensor, ahead: Tensor) -> Tensor:
    """Walk through the box in steps that can't jump over the ground (Kalra and Barr 1989).

    Along the ray wave k is amplitude·sin(a + b·t), so the gap to the ground closes at most at a
    speed L = Σ amplitude·|b| + |d_z|, and its slope changes at most by M = Σ amplitude·b² per
    metre. The first root of gap + slope·s − M·s²/2 lies before the true one; near the ground it is
    Newton's step, and Newton finishes what the walk began. The field is solid down to the bottom
    of its box.
    """
    import torch

    enter, leave = _slabs(o, d, half)
    start = enter.maximum(-ahead)
    inside = (start < leave).nonzero()[:, 0]
    table = torch.stack([*o, *d, *half, start, leave]).index_select(1, inside)
    x, y, z, dx, dy, dz, wide, long, tall, first, last = table
    if waves.shape[2] > 1:
        waves = waves[:, :, inside]
    turns_x, turns_y, amplitude = waves[0] / wide, waves[1] / long, waves[3] * tall
    a, b = turns_x * x + turns_y * y + waves[2], turns_x * dx + turns_y * dy
    fastest = (amplitude * b.abs()).sum(0) + dz.abs()
    bend = (amplitude * b * b).sum(0).clamp(min=1e-12)
    line = torch.cat([a, b, amplitude, torch.stack([z, dz, 1e-4 * tall, fastest, bend, last])])

    def gap(line: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Height above the ground and its slope along the ray."""
        a, b, wave = line[:WAVES], line[WAVES : 2 * WAVES], line[2 * WAVES : 3 * WAVES]
        angle = a + b * t
        ground, climb = (wave * angle.sin()).sum(0), (wave * b * angle.cos()).sum(0)
        return line[-6] + line[-5] * t - ground, line[-5] - climb

    t, at, rest = torch.full_like(first, math.inf), first, line
    rows = torch.arange(len(t), device=t.device)
    for _ in range(160):
        if not len(rows):
            break
        above, slope = gap(rest, at)
        small, fastest, bend, last = rest[-4:]
        arrived = above <= small
        t[rows[arrived]] = at[arrived]
        root = (slope * slope + 2 * bend * above.clamp(min=0)).sqrt()
        step = torch.where(slope < 0, 2 * above / (root - slope), (root + slope) / bend)
        at = at + step.maximum(above / fastest)
        going = (~arrived & (at < last)).nonzero()[:, 0]
        rows, at, rest = rows[going], at[going], rest.index_select(1, going)
    rows = ((t > first) & (t < math.inf)).nonzero()[:, 0]  # not the box's side, met at once
    line, walked = line.index_select(1, rows), t[rows]
    at = walked
    for _ in range(4 if len(rows) else 0):
        above, slope = gap(line, at)
        at = at - above / torch.where(slope.abs() < 1e-3, -1e-3, slope)
    moved = (at - walked).abs() < 0.05 * tall[rows]  # at a grazing hit Newton may leave
    t[rows] = torch.where(moved, at, walked)
    t = t + ahead[inside]
    result = torch.full_like(ahead, math.inf)
    result[inside] = torch.where(t > 0, t, math.inf)
    return result


def normal(code: int, p: Tensor, half: Tensor, waves: Tensor) -> Tensor:
    """Unit outward normal (3, P) at surface points p (3, P), in the shape's own axes."""
    import torch

    if code == CODES["sphere"]:
        return _unit(p)
    if code == CODES["box"]:
        return _faces(p, half)
    if code == CODES["plane"]:
        up = torch.zeros_like(p)
        up[2] = 1
        return up
    rho = (p[0] * p[0] + p[1] * p[1]).sqrt().clamp(min=1e-12)
    if code == CODES["cylinder"]:
        cap = p[2].abs() - half[2] > rho - half[0]
        flat = torch.zeros_like(rho)
        side = torch.stack([p[0] / rho, p[1] / rho, flat])
        return torch.where(cap, torch.stack([flat, flat, p[2].sign()]), side)
    if code == CODES["cone"]:
        k = half[0] / (2 * half[2])
        cosine = 1 / (1 + k * k).sqrt()
        outside = (rho - k * (half[2] - p[2])) * cosine
        base = -half[2] - p[2] > outside
        flat = torch.zeros_like(rho)
        side = torch.stack([p[0] / rho * cosine, p[1] / rho * cosine, k * cosine])
        return torch.where(base, torch.stack([flat, flat, flat - 1]), side)
    if code == CODES["torus"]:
        ring = half[0] - half[2]
        return _unit(torch.stack([p[0] - ring * p[0] / rho, p[1] - ring * p[1] / rho, p[2]]))
    z, slope_x, slope_y = height(p[0], p[1], half, waves)
    ground = _unit(torch.stack([-slope_x, -slope_y, torch.ones_like(z)]))
    return torch.where((p[2] - z).abs() < 1e-3 * half[2], ground, _faces(p, half))


def _unit(v: Tensor) -> Tensor:
    return v / dot(v, v).sqrt().clamp(min=1e-20)


def _faces(p: Tensor, half: Tensor) -> Tensor:
    """The box's side that p lies on: the axis on which it reaches farthest."""
    import torch

    part = p.abs() / half.clamp(min=1e-12)
    on = torch.zeros_like(p)
    return on.scatter(0, part.argmax(0, keepdim=True), 1.0) * p.sign()
