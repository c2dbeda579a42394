"""Captions with times, written as files that players and editors read.

    SRT    number, 00:00:01,000 --> 00:00:02,500, lines of text, an empty line
    VTT    the web's format, for <track>: a header, points in the times, & < > escaped
    JSON   a list of {"start_s", "end_s", "text"}
    text   one line per cue, times first

One set of rules holds for all four:

    order      by start, then by end; cues that overlap stay so, players show both
    times      whole milliseconds, rounded before they are split into hours, minutes and seconds,
               so that 59.9996 s is 00:01:00.000; hours take as many digits as they need
    length     a cue that would last 0 ms lasts 1 ms: the formats know no empty spans
    text       lines are trimmed and empty ones left out, because an empty line ends a cue;
               a cue without text is left out
    repeats    a cue that says the same as the one before and begins by its end is one with it
    errors     InputError for a cue that ends before it starts, starts before 0 or has no number
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from core.types import InputError
from core.video.types import Cue

_Plain = tuple[int, int, list[str]]  # start and end in ms, lines of text


def to_srt(cues: Sequence[Cue]) -> str:
    """SubRip. It has no escapes: '-->' becomes '→', and <i> is left for the player to read."""
    blocks = []
    for number, (start, end, lines) in enumerate(_plain(cues), 1):
        text = "\n".join(lines).replace("-->", "→")
        blocks.append(f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n")
    return "\n".join(blocks)


def to_vtt(cues: Sequence[Cue]) -> str:
    """WebVTT (W3C, 2019). All text is shown as it is: markup in it is escaped."""
    blocks = ["WEBVTT\n"]
    for start, end, lines in _plain(cues):
        text = "\n".join(lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{_clock(start)} --> {_clock(end)}\n{text}\n")
    return "\n".join(blocks)


def to_json(cues: Sequence[Cue]) -> str:
    """A list of objects with start_s and end_s (seconds, to the millisecond) and text."""
    rows = [
        {"start_s": start / 1000, "end_s": end / 1000, "text": "\n".join(lines)}
        for start, end, lines in _plain(cues)
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def to_text(cues: Sequence[Cue]) -> str:
    """One line per cue: '00:00:01.000 to 00:00:02.500  a red ball rolls to the left'."""
    return "".join(
        f"{_clock(start)} to {_clock(end)}  {' '.join(lines)}\n"
        for start, end, lines in _plain(cues)
    )


def _plain(cues: Sequence[Cue]) -> list[_Plain]:
    """The cues in order, in milliseconds and clean lines, by the rules above."""
    plain: list[_Plain] = []
    for cue in cues:
        if not (math.isfinite(cue.start_s) and math.isfinite(cue.end_s)) or cue.start_s < 0:
            raise InputError(
                f"A subtitle can't last from {cue.start_s:g} to {cue.end_s:g} s. "
                "Give two times from 0 on."
            )
        if cue.end_s < cue.start_s:
            raise InputError(
                f"A subtitle ends at {cue.end_s:g} s, before it starts at {cue.start_s:g} s. "
                "Swap the two."
            )
        start, end = round(float(cue.start_s) * 1000), round(float(cue.end_s) * 1000)
        lines = [line.strip() for line in cue.text.replace("\0", "").splitlines()]
        lines = [line for line in lines if line]
        if lines:
            plain.append((start, max(end, start + 1), lines))
    joined: list[_Plain] = []
    for start, end, lines in sorted(plain, key=lambda cue: cue[:2]):
        if joined and lines == joined[-1][2] and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1]), lines
        else:
            joined.append((start, end, lines))
    return joined


def _clock(ms: int, point: str = ".") -> str:
    """3723004 is 01:02:03.004."""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{ms:03d}"
