"""Subtitle files, read back by other people's parsers."""

import html
import json
from datetime import timedelta

import pytest
import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from core.captioning.subtitles import to_json, to_srt, to_text, to_vtt
from core.types import InputError
from core.video.types import Cue

CUES = (
    Cue(1.5, 4.0, "a red ball rolls to the left"),
    Cue(59.9996, 61.0004, "a <b> & c --> d\n\n  e  "),
    Cue(3723.004, 3724.0, "an hour later"),
    Cue(359_999.9999, 360_001.5, "a hundred hours later"),
)


def test_srt_letter_by_letter():
    assert to_srt(CUES) == (
        "1\n00:00:01,500 --> 00:00:04,000\na red ball rolls to the left\n\n"
        "2\n00:01:00,000 --> 00:01:01,000\na <b> & c → d\ne\n\n"
        "3\n01:02:03,004 --> 01:02:04,000\nan hour later\n\n"
        "4\n100:00:00,000 --> 100:00:01,500\na hundred hours later\n"
    )


def test_vtt_letter_by_letter():
    assert to_vtt(CUES) == (
        "WEBVTT\n\n"
        "00:00:01.500 --> 00:00:04.000\na red ball rolls to the left\n\n"
        "00:01:00.000 --> 00:01:01.000\na &lt;b&gt; &amp; c --&gt; d\ne\n\n"
        "01:02:03.004 --> 01:02:04.000\nan hour later\n\n"
        "100:00:00.000 --> 100:00:01.500\na hundred hours later\n"
    )


def test_json_and_text():
    assert json.loads(to_json(CUES))[1] == {
        "start_s": 60.0, "end_s": 61.0, "text": "a <b> & c --> d\ne",
    }  # fmt: skip
    assert to_text(CUES).splitlines()[1] == "00:01:00.000 to 00:01:01.000  a <b> & c --> d e"


def test_no_cues_are_valid_files():
    for cues in ((), (Cue(0, 1, " \n\t\n"),)):
        assert to_srt(cues) == to_text(cues) == ""
        assert to_vtt(cues) == "WEBVTT\n"
        assert json.loads(to_json(cues)) == []


def test_cues_are_sorted_overlap_and_last_at_least_a_millisecond():
    cues = [Cue(5, 9, "late"), Cue(0, 6, "long"), Cue(2, 2, "instant"), Cue(0, 3, "short")]
    found = list(srt.parse(to_srt(cues)))
    assert [cue.content for cue in found] == ["short", "long", "instant", "late"]
    assert found[2].end - found[2].start == timedelta(milliseconds=1)
    assert found[1].end == timedelta(seconds=6)


def test_what_is_said_again_at_once_is_one_cue():
    texts = ["a ball rolls", "a ball rolls ", "a box jumps", "", "a box jumps", "a ball rolls"]
    cues = [Cue(2.0 * k, 2.0 * k + 2, text) for k, text in enumerate(texts)]
    found = [(c["start_s"], c["end_s"], c["text"]) for c in json.loads(to_json(cues))]
    assert found == [
        (0, 4, "a ball rolls"), (4, 6, "a box jumps"), (8, 10, "a box jumps"),
        (10, 12, "a ball rolls"),
    ]  # fmt: skip
    assert [cue.content for cue in srt.parse(to_srt(cues))] == [text for *_, text in found]
    assert len(webvtt.from_string(to_vtt(cues)).captions) == len(found)
    thirds = [Cue(k / 3, (k + 1) / 3, "rounded") for k in range(30)]
    assert to_text(thirds) == "00:00:00.000 to 00:00:10.000  rounded\n"


@pytest.mark.parametrize(
    "cue", [Cue(2, 1, "a"), Cue(-1, 1, "a"), Cue(0, float("nan"), "a"), Cue(0, float("inf"), "a")]
)
@pytest.mark.parametrize("write", [to_srt, to_vtt, to_json, to_text])
def test_impossible_times_are_refused(cue, write):
    with pytest.raises(InputError):
        write([cue])


TIMES = st.floats(0, 4e5, allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("<>&-\n\r\0 "))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TIMES, TIMES, TEXTS), max_size=5))
def test_other_parsers_read_the_same(rows):
    cues = [Cue(min(a, b), max(a, b), text) for a, b, text in rows]
    kept = json.loads(to_json(cues))
    for one in kept:
        assert one["text"]
        assert "" not in one["text"].split("\n")
    theirs = list(srt.parse(to_srt(cues)))
    assert [cue.content for cue in theirs] == [c["text"].replace("-->", "→") for c in kept]
    assert [cue.start.total_seconds() for cue in theirs] == [c["start_s"] for c in kept]
    assert [cue.end.total_seconds() for cue in theirs] == [c["end_s"] for c in kept]
    web = webvtt.from_string(to_vtt(cues)).captions
    assert [html.unescape(cue.raw_text) for cue in web] == [c["text"] for c in kept]
    assert [cue.start for cue in web] == [_clock(c["start_s"]) for c in kept]
    assert [cue.end for cue in web] == [_clock(c["end_s"]) for c in kept]


def _clock(seconds: float) -> str:
    whole = timedelta(milliseconds=round(seconds * 1000))
    minutes, left = divmod(whole, timedelta(minutes=1))
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{left.total_seconds():06.3f}"
