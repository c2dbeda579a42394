"""What tiny-sd can do, measured on scenes it was never trained on: the figures of its card.

`python -m core.diffusion.measure` prints them for the shipped model. Pictures are read by the
reader, whose own hit rate on real renders of the same scenes stands next to every figure.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core import runtime
from core.control.agreement import EDGE_PX, edge_f1, mean_iou, rank_correlation
from core.diffusion import MODELS, loading, reader
from core.diffusion.nets import KINDS, library
from core.diffusion.reader import Read
from core.diffusion.train import condition, signed
from core.diffusion.world import HELD_OUT, SIZE, Pictures, pictures
from core.metrics import psnr
from core.scenes.prompts import Still, parse_prompt

SCENES = 200
STEPS, GUIDANCE = 20, 4.0
STRICT_PX = 1.0  # of edges, beside the usual tolerance of agreement: of 64 px, 2 are much


def named_things(still: Still, seen: Read) -> tuple[float, float, bool]:
    """Share of the named colours that are in the picture, share of the named things that are
    there in their shape too, and whether all are."""
    colours = [any(toy.colour == look.colour for toy in seen.toys) for look in still.looks]
    things = [
        any((toy.colour, toy.shape) == (look.colour, look.shape) for toy in seen.toys)
        for look in still.looks
    ]
    return float(np.mean(colours)), float(np.mean(things)), all(things)


def words(prompts: Sequence[str], seen: Sequence[Read]) -> dict[str, float]:
    """Colour and shape right as a share of named things, and of prompts that name two things the
    share where both are right."""
    stills = [parse_prompt(prompt) for prompt in prompts]
    rows = [named_things(still, one) for still, one in zip(stills, seen, strict=True)]
    counts = np.array([len(still.looks) for still in stills])
    colour, shape = (
        float(np.average([row[k] for row in rows], weights=counts)) for k in (0, 1)
    )  # fmt: skip
    pairs = [row[2] for row, n in zip(rows, counts, strict=True) if n == 2]
    return {"colour": colour, "shape": shape, "both of two": float(np.mean(pairs))}


def agreement(
    kind: str, truth: Pictures, seen: Sequence[Read], within_px: float = EDGE_PX
) -> float:
    """Mean agreement of pictures with the control maps of `truth`; edges may be so far off."""
    found = []
    for k, one in enumerate(seen):
        if kind == "edges":
            found.append(edge_f1(one.edges, truth.edges[k] > 0, within_px))
        elif kind == "depth":
            found.append(rank_correlation(one.depth, truth.depth[k].astype(float)))
        else:
            found.append(mean_iou(one.labels, truth.ids[k].astype(int)))
    return float(np.nanmean(found))


def measured(folder: Path, scenes: int = SCENES) -> dict[str, Any]:
    """All figures of the model in `folder`, by name."""
    truth = pictures(range(HELD_OUT, HELD_OUT + scenes), prompts=1)
    prompts = truth.prompts[:, 0].tolist()
    net = reader.opened(folder)
    real = reader.read(net, truth.rgb)
    found: dict[str, Any] = {
        "scenes": scenes,
        "reader": words(prompts, real) | {kind: agreement(kind, truth, real) for kind in KINDS},
    }
    text = _opened(folder)
    found["vae"] = {"psnr": _again(text.vae, truth.rgb)}
    plain = reader.read(net, _painted(text, prompts))
    found["words"] = words(prompts, plain)
    for kind in KINDS:
        maps = condition(truth, kind, np.arange(scenes), str(text.device))
        seen = reader.read(net, _painted(_opened(folder, kind), prompts, maps))
        both = {"with": seen, "without": plain}
        found[kind] = {name: agreement(kind, truth, of) for name, of in both.items()}
        if kind == "edges":
            found["edges within 1 px"] = {
                name: agreement(kind, truth, of, STRICT_PX) for name, of in both.items()
            }
    return found


def _opened(folder: Path, kind: str = "") -> Any:
    """The pipeline in a folder, with one control or none, in float32 or on the GPU."""
    import torch

    d = library()
    options: dict[str, Any] = {
        "dtype": torch.float16 if runtime.device() == "cuda" else torch.float32,
        "low_cpu_mem_usage": False,
    }
    made, given = d.StableDiffusionPipeline, {}
    if kind:
        made = d.StableDiffusionControlNetPipeline
        net = d.ControlNetModel.from_pretrained(folder / f"controlnet-{kind}", **options)
        given["controlnet"] = net
    pipeline = made.from_pretrained(folder, safety_checker=None, **options, **given)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(runtime.device())


def _again(vae: Any, rgb: np.ndarray) -> float:
    """Mean PSNR in dB of pictures that went through the autoencoder."""
    import torch

    with torch.inference_mode():
        x = signed(rgb, str(vae.device)).to(vae.dtype)
        told = vae.decode(vae.encode(x).latent_dist.mean).sample.float().clamp(-1, 1)
    again = ((told + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return float(np.mean([psnr(a, b) for a, b in zip(again, rgb, strict=True)]))


def _painted(pipeline: Any, prompts: list[str], maps: Any = None, batch: int = 25) -> np.ndarray:
    """(N, H, W, 3) uint8: a picture for each prompt, each from its own noise, the same with maps
    and without."""
    import torch

    parts = []
    for start in range(0, len(prompts), batch):
        said = prompts[start : start + batch]
        given: dict[str, Any] = {} if maps is None else {"image": maps[start : start + batch]}
        given["generator"] = [
            torch.Generator("cpu").manual_seed(start + k) for k in range(len(said))
        ]
        with torch.inference_mode():
            parts.append(
                pipeline(
                    said, num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="np",
                    height=SIZE, width=SIZE, **given,
                ).images
            )  # fmt: skip
    return (np.concatenate(parts) * 255).round().astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the model in a folder.")
    parser.add_argument("--folder", type=Path, default=loading.ROOT / MODELS["tiny-sd"].source)
    parser.add_argument("--scenes", type=int, default=SCENES)
    given = parser.parse_args()
    print(json.dumps(measured(given.folder, given.scenes), indent=1))


if __name__ == "__main__":
    main()
