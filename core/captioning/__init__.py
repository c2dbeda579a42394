"""Saying what happens in a clip, and finding out why the model said it.

from core.captioning import CaptionSettings, caption
from core.video import sample

print(caption(sample("clip.mp4"), CaptionSettings("tiny-git")).text)
"""

from core.captioning.inspect import Attribution, attribution, count_tokens
from core.captioning.run import budget, caption, caption_steps, captions_over_time
from core.captioning.scoring import score
from core.captioning.subtitles import to_json, to_srt, to_text, to_vtt
from core.captioning.time_tests import TimeTests, time_tests
from core.captioning.types import MODELS, CaptionResult, CaptionSettings, CaptionStep

__all__ = [
    "MODELS", "Attribution", "CaptionResult", "CaptionSettings", "CaptionStep", "TimeTests",
    "attribution", "budget", "caption", "caption_steps", "captions_over_time", "count_tokens",
    "score", "time_tests", "to_json", "to_srt", "to_text", "to_vtt",
]  # fmt: skip
