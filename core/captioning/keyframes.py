"""A clip in two plain sentences without any model: only what can be measured.

How many shots, what the camera does, how much moves and where, how bright it is, which colours. It
knows no things: a dog is some brown that moves. That makes it a baseline for the models: what it
says is right on any clip, and a caption that says no more has not needed to see.

    shots      where most colours change at once and the pictures before and after don't correlate
    camera     what the whole picture does (`tracking`); the camera goes the other way
    motion     pixels that differ once the camera's motion is undone; their way by optical flow
    light      mean lightness L* of CIELAB, 0 black to 100 white
    colours    k-means in CIELAB, each cluster named by the nearest of some everyday colours

What can't be told: a camera that pans from one that travels sideways, and one that zooms from one
that comes closer; cross-fades from motion; and, while the camera moves, what moves from what is
only nearer than the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.captioning.tracking import after, track, warped
from core.types import InputError
from core.video.types import Frames, SampleSettings

RATES_HZ, MOST = (6.0, 4.0), 64  # of `dense`: frames per second, and how many at most
STILL, MOVED, ZOOMED, AROUND = 0.01, 0.02, 0.03, 0.05  # shares of the width, see `_camera`
CLUSTERS = 12  # of colours
DIFFERS = 20  # of 255: how much a pixel must change to have moved
NOTHING, LITTLE = 0.002, 0.02  # shares of the picture that move

COLOURS = {  # sRGB; several for one word, since words cover wide ranges
    "black": ((12, 12, 12), (35, 35, 38)),
    "grey": ((75, 75, 75), (105, 107, 112), (128, 128, 128), (165, 165, 165), (195, 195, 195)),
    "white": ((225, 225, 225), (250, 250, 250)),
    "red": ((200, 30, 40), (150, 20, 25), (225, 70, 60)),
    "orange": ((245, 130, 25), (225, 110, 40)),
    "brown": ((100, 60, 30), (140, 95, 55), (70, 45, 30), (165, 120, 75)),
    "beige": ((220, 200, 170), (235, 215, 190), (195, 175, 145)),
    "yellow": ((247, 216, 50), (220, 190, 40), (250, 235, 130)),
    "green": ((30, 136, 72), (60, 100, 40), (35, 55, 25), (110, 150, 60), (140, 190, 110),
              (85, 95, 50)),
    "cyan": ((92, 214, 232), (40, 170, 180), (170, 230, 235)),
    "blue": ((30, 66, 190), (60, 120, 200), (25, 40, 90), (130, 170, 220), (60, 80, 120)),
    "purple": ((132, 48, 160), (90, 50, 120), (170, 130, 200)),
    "pink": ((236, 112, 172), (245, 180, 200), (235, 195, 190)),
}  # fmt: skip
DULL = ("black", "grey", "white", "brown", "beige")  # not worth a word where there is little of it


@dataclass(frozen=True)
class Shot:
    """One shot's camera. Shares are of the frame's width; the camera's way, not the picture's.

    start_s to end_s; pan_px_s (x right, y down): how fast the view goes, in px of the measured
    frames, mean over the shot; zoom_percent_s: how fast things grow, compounded; span: the most that the
    picture shifted, a share of the width; followed: share of the shot's frames whose shift is
    known; camera: in words, '' if unknown.
    """

    start_s: float
    end_s: float
    pan_px_s: tuple[float, float]
    zoom_percent_s: float
    span: float
    followed: float
    camera: str


@dataclass(frozen=True)
class Measured:
    """Figures of a stretch of a clip.

    start_s to end_s, of a clip of duration_s (NaN if unknown); frames of width × height px.
    cuts_s: when new shots begin, to within one frame of those measured. moving: share of the picture
    that moves between two frames, mean; where: how that is spread over left, middle and right
    third; way (x right, y down): mean direction of what moves, length 0 (all ways) to 1 (one way);
    NaN where the camera moves or is unknown. brightness: mean L*, 0 to 100, of each frame.
    colours: (name, share of the picture), largest first.
    """

    start_s: float
    end_s: float
    duration_s: float
    frames: int
    width: int
    height: int
    cuts_s: tuple[float, ...]
    shots: tuple[Shot, ...]
    moving: float
    where: tuple[float, float, float]
    way: tuple[float, float]
    brightness: np.ndarray
    colours: tuple[tuple[str, float], ...]


def dense(path: str | Path, start_s: float = 0.0, end_s: float = 0.0) -> Frames:
    """Frames to measure: up to 64 from start_s to end_s (0: the clip's end), at most 320 px wide or
    high.

    6 a second for what is left up to 10 s, 4 a second for longer parts, of which only the first 16 s
    are taken. Raises InputError for what isn't a clip.
    """
    from core.video import probe, sample

    until_s = np.fmin(end_s or np.nan, probe(path).duration_s)  # NaN if nobody knows
    rate = RATES_HZ[0] if (until_s - start_s) * RATES_HZ[0] <= MOST else RATES_HZ[1]
    enough_s = start_s + (MOST - 0.5) / rate
    if enough_s >= until_s:
        enough_s = end_s
    return sample(
        path,
        SampleSettings("fps", count=MOST, fps=rate, start_s=start_s, end_s=enough_s, max_px=320),
    )


def measure(frames: Frames) -> Measured:
    """Figures of these frames, which should be neighbours: 4 to 10 a second, 64 to 320 px wide.

    Larger ones are made smaller first. With fewer frames a second the camera and cuts are found
    less surely, and figures are NaN and words empty where they are not.
    """
    images, times_s = _small(frames.images), frames.times_s
    if (np.diff(times_s) <= 0).any():
        raise InputError("These frames are not in the order of time. Sort them first.")
    found = track(images)
    starts = [0, *(int(i) + 1 for i in np.flatnonzero(found.cuts))]
    width = images.shape[2]
    gap_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    shots = []
    for a, b in zip(starts, [*starts[1:], len(images)], strict=True):
        end_s = times_s[b] if b < len(images) else times_s[-1] + gap_s
        if frames.clip_s > times_s[-1]:
            end_s = min(end_s, frames.clip_s)
        steps = found.steps[a : b - 1]
        shots.append(_shot(steps, images.shape[1:3], float(times_s[a]), float(end_s), gap_s))
    moving, where, way = _motion(images, found.steps, starts, shots)
    lab = _lab(images)
    return Measured(
        float(times_s[0]), shots[-1].end_s, frames.clip_s,
        len(images), width, images.shape[1],
        tuple(float(times_s[i]) for i in starts[1:]), tuple(shots), moving, where, way,
        lab[..., 0].mean((1, 2)), _colours(lab),
    )  # fmt: skip


# ---------------------------------------------------------------- figures


def _small(images: np.ndarray) -> np.ndarray:
    import cv2

    h, w = images.shape[1:3]
    factor = 320 / max(h, w)
    if factor >= 1:
        return images
    size = (max(1, round(w * factor)), max(1, round(h * factor)))
    return np.stack([cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in images])


def _lab(images: np.ndarray) -> np.ndarray:
    """CIELAB (N, h, w, 3) float32, thinned to about 50 pixels a side: means need no more."""
    import cv2

    every = max(1, max(images.shape[1:3]) // 50)
    small = images[:, ::every, ::every].astype(np.float32) / 255
    return np.stack([cv2.cvtColor(np.ascontiguousarray(i), cv2.COLOR_RGB2LAB) for i in small])


def _shot(
    steps: np.ndarray, size: tuple[int, int], start_s: float, end_s: float, gap_s: float
) -> Shot:
    """The camera of a shot from the maps (K, 2, 3) between its frames; size is (height, width)."""
    height, width = size
    known = np.asarray(np.isfinite(steps).all((1, 2)))
    centre = np.array([width - 1, height - 1]) / 2
    place, path = np.eye(2, 3), [(0.0, 0.0, 0.0, 0.0)]
    for step in steps[known]:  # where the thread is lost, the camera is taken to wait
        place = after(step, place)
        x, y = (place[:, :2] @ centre + place[:, 2] - centre) / width
        nearer = float(np.log(max(np.linalg.det(place[:, :2]), 1e-6))) / 2
        around = -place[0, 1] * height / width / 2 if abs(place[1, 0]) < abs(place[0, 1]) / 2 else 0
        path.append((-x, -y, nearer, around))
    net, span = np.array(path[-1]), np.ptp(path, axis=0)
    followed = float(known.mean()) if len(known) else 0.0
    seconds = max(known.sum() * gap_s, 1e-9)
    return Shot(
        start_s, end_s, (float(net[0]) * width / seconds, float(net[1]) * width / seconds),
        float(100 * np.expm1(net[2] / seconds)), float(span[:2].max()), followed,
        _camera(net, span) if followed > 0.5 else "",
    )  # fmt: skip


def _camera(net: np.ndarray, span: np.ndarray) -> str:
    """What the camera does, from where it ends and how far it went.

    right, down: shifts in widths; nearer: log of the scale; around: how much further the top of the
    picture shifts than its middle, in widths, as when one walks around what one looks at.
    """
    if max(span[0], span[1], span[2] / 2, span[3]) < STILL:
        return "is still"
    most = max(span[0], span[1])
    there = abs(net) >= 0.6 * span  # it goes one way, not to and fro
    if abs(net[3]) >= AROUND and abs(net[3]) >= most and there[3]:
        return f"moves around to the {'right' if net[3] > 0 else 'left'}"
    said = []
    if there[int(np.argmax(span[:2]))]:
        if abs(net[0]) >= max(MOVED, 0.4 * most):
            said.append("pans to the right" if net[0] > 0 else "pans to the left")
        if abs(net[1]) >= max(MOVED, 0.4 * most):
            said.append("tilts down" if net[1] > 0 else "tilts up")
    if there[2] and abs(net[2]) >= max(ZOOMED, most):
        said.append("zooms in or comes closer" if net[2] > 0 else "zooms out or moves away")
    return " and ".join(said) or "moves about"


def _motion(
    images: np.ndarray, steps: np.ndarray, starts: list[int], shots: list[Shot]
) -> tuple[float, tuple[float, float, float], tuple[float, float]]:
    """How much moves, where, and which way: see `Measured`."""
    import cv2

    nan = float("nan")
    flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    width = images.shape[2]
    third = np.minimum(np.arange(width) * 3 // width, 2)
    shares, spread, ways, lengths = [], np.zeros(3), np.zeros(2), 0.0
    for i, step in enumerate(steps):
        shot = shots[int(np.searchsorted(starts, i, "right")) - 1]
        if not np.isfinite(step).all() or shot.camera not in ("is still", "moves about"):
            continue
        before, inside = warped(images[i], step)
        moves = inside & (_difference(before, images[i + 1], inside) > DIFFERS)
        shares.append(moves.mean())
        spread += np.bincount(third, moves.sum(0), 3)
        if moves.any() and min(images.shape[1:3]) >= 32:
            grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (before, images[i + 1])]
            flow = flow_of.calc(grey[0], grey[1], np.zeros((*grey[0].shape, 2), np.float32))[moves]
            ways += flow.sum(0)
            lengths += float(np.linalg.norm(flow, axis=1).sum())
    if len(shares) < max(1, len(steps) / 2):
        return nan, (nan, nan, nan), (nan, nan)
    left, middle, right = (spread / max(spread.sum(), 1)).tolist()
    x, y = (ways / max(lengths, 1e-9)).tolist()
    return float(np.mean(shares)), (left, middle, right), (x, y)


def _difference(before: np.ndarray, now: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Largest difference of a channel, (H, W) float32, of frames a little blurred, the first one
    made as bright as the second: a fade is no motion."""
    import cv2

    a, b = (cv2.GaussianBlur(i.astype(np.float32), (0, 0), 1.0) for i in (before, now))
    gain = float(np.median(b[inside])) / max(float(np.median(a[inside])), 1.0)
    return np.abs(a * min(max(gain, 0.25), 4.0) - b).max(2)


def _colours(lab: np.ndarray) -> tuple[tuple[str, float], ...]:
    """Names and shares of the colours of Lab pixels (..., 3), largest first."""
    from scipy.cluster.vq import kmeans2
    from skimage.color import rgb2lab

    pixels = lab.reshape(-1, 3)
    pixels = pixels[:: max(1, len(pixels) // 6000)].astype(np.float64)
    names = [name for name, many in COLOURS.items() for _ in many]
    known = rgb2lab(np.array([[c for many in COLOURS.values() for c in many]]) / 255)[0]
    first = [pixels[0]]  # then what is farthest from all before: small bright things get a cluster
    for _ in range(CLUSTERS - 1):
        far = np.min([((pixels - c) ** 2).sum(1) for c in first], axis=0)
        if far.max() > 1:
            first.append(pixels[int(far.argmax())])
    centres, label = kmeans2(pixels, np.array(first), minit="matrix")
    share = np.bincount(label, minlength=len(centres)) / len(label)
    found: dict[str, float] = {}
    for centre, part in zip(centres, share, strict=True):
        if part > 0:
            name = names[int(np.linalg.norm(known - centre, axis=1).argmin())]
            found[name] = found.get(name, 0.0) + float(part)
    return tuple(sorted(found.items(), key=lambda item: -item[1]))


# ---------------------------------------------------------------- words


def sentence(measured: Measured) -> str:
    """Two plain sentences, labelled as a measurement."""
    shots, seen = measured.shots, [s for s in measured.shots if s.camera]
    seconds = measured.end_s - measured.start_s
    part = ""
    if measured.duration_s - seconds > max(1.0, 0.1 * seconds):
        part = f" (measured from {measured.start_s:.0f} to {measured.end_s:.0f} s"
        part += f" of {measured.duration_s:.0f} s)"
    if measured.frames == 1:
        first = "a single frame, so nothing can be said of motion"
    elif len(shots) == 1:
        camera = f"the camera {shots[0].camera}" if seen else "the camera's motion is not clear"
        first = f"one shot of {seconds:.1f} s{part}; {camera}"
    else:
        at = "a cut at" if len(shots) == 2 else "cuts at"
        cuts = _and([f"{t:.1f}" for t in measured.cuts_s[:6]])
        more = f" and {len(measured.cuts_s) - 6} more" if len(measured.cuts_s) > 6 else ""
        first = f"{len(shots)} shots in {seconds:.1f} s{part}, with {at} {cuts} s{more}"
        ways = list(dict.fromkeys(s.camera for s in seen))
        counts = [(way, sum(s.camera == way for s in seen)) for way in ways]
        if len(ways) == 1 and len(seen) == len(shots):
            first += f"; the camera {ways[0]} in all of them"
        elif ways:
            first += "; the camera " + _and([f"{w} in {n} of them" for w, n in counts])
    return f"Measured: {first}{_moving(measured)}. {_light(measured)}."


def _moving(m: Measured) -> str:
    if np.isnan(m.moving):
        return ""
    if m.moving < NOTHING:
        return "; almost nothing moves"
    amount = (
        "little moves"
        if m.moving < LITTLE
        else f"about {100 * m.moving:.0f} % of the picture moves at a time"
    )
    names = ("left", "middle", "right")
    at = int(np.argmax(m.where))
    place = f"mostly {'in the' if at == 1 else 'on the'} {names[at]}"
    if m.where[at] < 0.5:
        low = int(np.argmin(m.where))
        place = "all over" if m.where[low] > 0.2 else f"hardly on the {names[low]}"
        place = place.replace("on the middle", "in the middle")
    way = ""
    length = float(np.hypot(*m.way))
    if length > 0.5:
        x, y = m.way
        way = ("to the right" if x > 0 else "to the left") if abs(x) > abs(y) else (
            "downwards" if y > 0 else "upwards"
        )  # fmt: skip
        way = f", {way}"
    elif length < 0.3:
        way = ", to and fro"
    return f"; {amount}, {place}{way}"


def _light(m: Measured) -> str:
    words = ("black", "dark", "dim", "of middling brightness", "bright", "very bright")
    levels = (4, 25, 40, 60, 80)
    n = max(1, len(m.brightness) // 8)
    first, last = float(m.brightness[:n].mean()), float(m.brightness[-n:].mean())
    mean = words[int(np.searchsorted(levels, m.brightness.mean()))]
    light = f"The picture is {mean}"
    if len(m.brightness) > 1 and not m.cuts_s:
        if last < levels[0] <= first:
            light = "The picture fades to black"
        elif first < levels[0] <= last:
            light = "The picture comes up from black"
        elif abs(last - first) > 8:
            light += f" and gets {'brighter' if last > first else 'darker'}"
        elif np.ptp(m.brightness) > 15:
            light += ", but not evenly"
        else:
            light += " throughout"
    main = [name for name, share in m.colours if share >= 0.1][:3] or [m.colours[0][0]]
    bright = [n for n, share in m.colours if n not in (*main, *DULL) and share >= 0.02]
    some = f", with some {bright[0]}" if bright else ""
    return f"{light}; its main colour{'s are' if len(main) > 1 else ' is'} {_and(main)}{some}"


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
