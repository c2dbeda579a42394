"""Models that turn frames into words, behind one small interface.

Frames go in as pictures with their seconds, never as a video: so no model needs its own decoder,
and what it saw is exactly what the page shows.

    speaker = load("tiny-git")
    inputs = speaker.prepare(frames, question)      # what `generate` takes
    for text in speak(speaker, inputs, settings): …   # the answer grows
"""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import models, runtime
from core.captioning.types import MODELS, READS, CaptionSettings
from core.models import SAFE, ModelSpec, enough_memory, pool
from core.types import InputError, Progress, silent
from core.video.types import Frames

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).parents[2]
INSTEAD = "tiny-git works without it"
_CHANCE = threading.Lock()  # torch has one stream of chance for all threads
KEPT = 5  # likeliest tokens that are remembered at each place

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Speaker:
    """A model with its tokenizer. prepare(frames, question) gives the inputs of net.generate, with
    a batch of one."""

    spec: ModelSpec
    net: Any
    words: Any
    prepare: Callable[[Frames, str], Inputs]

    def frames_of(self, frames: Frames) -> Frames:
        """The frames as this model takes them: GIT wants an exact number."""
        wanted = READS[self.spec.key].frames
        return spread(frames, wanted) if wanted else frames

    def text(self, ids: Any) -> str:
        """Tokens as one text."""
        told = self.words.decode(ids, skip_special_tokens=True)
        return re.sub(r" ([,.:;!?])", r"\1", told).strip()

    def pieces(self, ids: Any) -> tuple[str, ...]:
        """Tokens as text, one by one; a mark of the model's own has its name."""
        return tuple(self.words.decode([i]) for i in ids)


def spread(frames: Frames, count: int) -> Frames:
    """`count` of the frames, evenly; some several times if there are fewer."""
    n = len(frames)
    chosen = (
        np.arange(count) * n // count if n < count else np.linspace(0, n - 1, count).round()
    ).astype(int)
    return frames.taken(chosen)


# ---------------------------------------------------------------- loading


def spec_of(key: str) -> ModelSpec:
    """The model of this key; the shipped one is found from wherever the program was started."""
    if key not in MODELS:
        raise InputError(f"There is no model {key!r}. Choose one of: {', '.join(MODELS)}.")
    spec = MODELS[key]
    return spec if spec.revision else replace(spec, source=str(ROOT / spec.source))


def missing(key: str) -> str:
    """What stands between this computer and the model, in a sentence; "" if it can run now."""
    return "" if key not in MODELS else models.missing(spec_of(key), instead=INSTEAD)


def load(key: str, progress: Progress = silent) -> Speaker:
    """The model, from a folder, the hub's cache or the hub. Raises Unavailable."""
    spec = spec_of(key)
    return pool().get(spec, lambda folder: build(spec, folder), progress, instead=INSTEAD)


def build(spec: ModelSpec, folder: Path) -> Speaker:
    """The model from its folder."""
    made = {"tiny-git": _git, "git-vatex": _git, "blip-frames": _blip}.get(spec.key, _chat)
    speaker = made(spec, folder)
    return replace(speaker, prepare=_room(spec)(speaker.prepare))


def _net(kind: str, folder: Path, **options: Any) -> Any:
    import torch
    import transformers

    device = runtime.device()
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    net = getattr(transformers, kind).from_pretrained(folder, dtype=dtype, **SAFE, **options)
    return net.to(device).eval()


def _images(folder: Path) -> Any:
    from transformers import AutoImageProcessor

    # backend="pil": the other backend needs torchvision
    return AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False, local_files_only=True
    )


def _words(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def _pictures(frames: Frames) -> list[Any]:
    from PIL import Image

    return [Image.fromarray(image) for image in frames.images]


def _git(spec: ModelSpec, folder: Path) -> Speaker:
    """All frames at once, each marked with its place among them."""
    import torch

    net, images, words = _net("GitForCausalLM", folder), _images(folder), _words(folder)

    def prepare(frames: Frames, question: str) -> Inputs:
        seen = images(_pictures(frames), return_tensors="pt")["pixel_values"]
        seen = seen if seen.ndim == 5 else seen[None]  # some processors make a batch of the clip
        ids = torch.tensor([[words.cls_token_id]], device=net.device)
        return {"input_ids": ids, "pixel_values": seen.to(net.device, net.dtype)}

    return Speaker(spec, net, words, prepare)


def _blip(spec: ModelSpec, folder: Path) -> Speaker:
    """One frame; core.captioning.run asks it for each."""
    net = _net("BlipForConditionalGeneration", folder)
    images, words = _images(folder), _words(folder)

    def prepare(frames: Frames, question: str) -> Inputs:
        seen = images(_pictures(frames)[:1], return_tensors="pt")["pixel_values"]
        return {"pixel_values": seen.to(net.device, net.dtype)}

    return Speaker(spec, net, words, prepare)


def _chat(spec: ModelSpec, folder: Path) -> Speaker:
    """A chat in which each frame is a picture after the words that say its second."""
    net, words = _net("AutoModelForImageTextToText", folder), _words(folder)
    processor, options = _processor(folder, words, str(net.config.model_type))
    template = _template(folder, words)

    def prepare(frames: Frames, question: str) -> Inputs:
        said: list[dict[str, str]] = []
        for second in frames.times_s:
            said += [{"type": "text", "text": f"Frame at {second:.1f} s:"}, {"type": "image"}]
        said.append({"type": "text", "text": question})
        text = words.apply_chat_template(
            [{"role": "user", "content": said}], chat_template=template, tokenize=False,
            add_generation_prompt=True,
        )  # fmt: skip
        found = processor(text=[text], images=_pictures(frames), return_tensors="pt", **options)
        return {
            name: value.to(net.device, net.dtype if value.is_floating_point() else None)
            for name, value in found.items()
        }

    return Speaker(spec, net, words, prepare)


def _processor(folder: Path, words: Any, kind: str) -> tuple[Any, dict[str, Any]]:
    """The model's own processor without its part for videos, which needs torchvision; and what it
    is called with."""
    import transformers

    names = {"smolvlm": "SmolVLMProcessor", "qwen3_vl": "Qwen3VLProcessor"}
    base = getattr(transformers, names[kind])
    parts = classmethod(lambda cls: ["image_processor", "tokenizer"])
    stills: Any = type("Stills", (base,), {"get_attributes": parts})
    given: dict[str, Any] = {"image_processor": _images(folder), "tokenizer": words}
    if kind == "smolvlm":
        about = folder / "processor_config.json"
        told = json.loads(about.read_text(encoding="utf-8")) if about.exists() else {}
        given["image_seq_len"] = told.get("image_seq_len", 64)
        # one picture of a frame, not the frame and its quarters too
        return stills(video_processor=None, **given), {"do_image_splitting": False}
    return stills(**given), {}


def _template(folder: Path, words: Any) -> str | None:
    """The chat template, wherever this version of the model keeps it."""
    jinja, old = folder / "chat_template.jinja", folder / "chat_template.json"
    if jinja.exists():
        return jinja.read_text(encoding="utf-8")
    if old.exists():
        return json.loads(old.read_text(encoding="utf-8"))["chat_template"]
    return words.chat_template


# ---------------------------------------------------------------- speaking


@dataclass(frozen=True)
class Said:
    """A whole answer: ids (N,) int64, and of each place the KEPT likeliest tokens: likely (N, KEPT)
    their ids and chances (N, KEPT) their probabilities; own (N,) that of the token itself."""

    ids: np.ndarray
    own: np.ndarray
    likely: np.ndarray
    chances: np.ndarray


def speak(
    speaker: Speaker, inputs: Inputs, settings: CaptionSettings
) -> Generator[str, None, Said]:
    """Let the model answer: yields the answer as it grows, returns all of it.

    Probabilities are the model's own, before temperature and top-p. Closing the generator stops
    the model at its next token. Raises Unavailable if the GPU's memory doesn't suffice.
    """
    with _room(speaker.spec):
        return (yield from _spoken(speaker, inputs, settings))


def _room(spec: ModelSpec) -> Any:
    """A context, or a decorator, for what the GPU's memory may not suffice for: it raises Unavailable,
    which says what to do."""
    other = INSTEAD if spec.key != "tiny-git" else "'Measured, no model' works without it"
    return enough_memory(spec.title, f"Fewer frames need less, and {other}")


@contextmanager
def _seeded(settings: CaptionSettings) -> Iterator[None]:
    """Chance from the seed, where words are sampled; else torch's stays as it is, for whoever does."""
    import torch

    if not settings.sampled:
        yield
        return
    with _CHANCE, torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        yield


def _spoken(
    speaker: Speaker, inputs: Inputs, settings: CaptionSettings
) -> Generator[str, None, Said]:
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList
    from transformers.generation.streamers import BaseStreamer

    heard: queue.Queue = queue.Queue()
    stop = threading.Event()

    class Listener(BaseStreamer):
        def put(self, value: Any) -> None:
            heard.put(value.flatten().tolist())

        def end(self) -> None: ...

    class Stop(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            return torch.full((len(input_ids),), stop.is_set(), device=input_ids.device)

    chance = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
    how: dict[str, Any] = {
        "max_new_tokens": settings.max_tokens, "do_sample": settings.sampled, "num_beams": 1,
        **(chance if settings.sampled else dict.fromkeys(chance)),
        "output_logits": True, "return_dict_in_generate": True,
        "stopping_criteria": StoppingCriteriaList([Stop()]), "streamer": Listener(),
    }  # fmt: skip
    longest = getattr(speaker.net.config, "max_position_embeddings", None)
    if READS[speaker.spec.key].context == 0 and longest:
        how["max_new_tokens"] = min(settings.max_tokens, longest - 2)

    def work() -> None:
        try:
            with _seeded(settings), torch.inference_mode():
                heard.put(speaker.net.generate(**inputs, **how))
        except BaseException as error:  # raised where the answer is read
            heard.put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ids: list[int] = []
    prompt = True  # the first thing a streamer hears is what was given
    try:
        while True:
            event = heard.get()
            if isinstance(event, BaseException):
                raise event
            if not isinstance(event, list):
                break
            if prompt:
                prompt = False
                continue
            ids += event
            yield speaker.text(ids)
    finally:
        stop.set()
        thread.join()
    logits = torch.stack(event.logits, 1)[0].float()  # (N, vocabulary)
    return said(event.sequences[0, -len(logits) :], logits)


def said(ids: Tensor, logits: Tensor) -> Said:
    """ids (N,) and the logits (N, V) that they were chosen from."""
    chances = logits.softmax(-1)
    best = chances.topk(min(KEPT, chances.shape[-1]), dim=-1)
    own = chances.gather(1, ids[:, None].to(chances.device))[:, 0]
    return Said(*(part.double().cpu().numpy() if part.is_floating_point() else part.cpu().numpy()
                  for part in (ids, own, best.indices, best.values)))  # fmt: skip


def log_chances(
    speaker: Speaker, inputs: Inputs, ids: np.ndarray, **options: Any
) -> tuple[np.ndarray, Any]:
    """How likely the model finds an answer that is given: log-probabilities (N,) float64, nats, of
    its tokens, and the model's whole output. One pass, no sampling. Raises Unavailable if the GPU's
    memory doesn't suffice."""
    import torch

    answer = torch.as_tensor(ids, device=speaker.net.device)[None]
    given = dict(inputs)
    start = given["input_ids"].shape[1]
    given["input_ids"] = torch.cat([given["input_ids"], answer.to(given["input_ids"].dtype)], 1)
    for name, value in (("attention_mask", 1), ("mm_token_type_ids", 0)):
        if name in given:
            more = torch.full_like(answer, value).to(given[name].dtype)
            given[name] = torch.cat([given[name], more], 1)
    with _room(speaker.spec), torch.inference_mode():
        out = speaker.net(**given, use_cache=False, **options)
        after = out.logits.shape[1] - given["input_ids"].shape[1]  # GIT answers for pictures too
        logits = out.logits[0, after + start - 1 : -1].float()
        found = logits.log_softmax(-1).gather(1, answer[0, :, None])[:, 0]
    return found.double().cpu().numpy(), out
