"""The shipped model's folder: weights as float16 safetensors in diffusers' layout, and its card.

`python -m core.diffusion.card` writes assets/models/tiny-sd from what the recipe made, measures
what it wrote on scenes that were never trained on, and says so in the card.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

from core.diffusion import nets
from core.diffusion.measure import GUIDANCE, STEPS, measured
from core.diffusion.train import FOLDER, PICTURES, PLANS, STAGES
from core.training import Plan

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "assets" / "models" / "tiny-sd"
BARS = {
    "colour of a named toy": ("words", "colour", 0.90),
    "its shape": ("words", "shape", 0.80),
    "both toys of prompts that name two": ("words", "both of two", 0.65),
    "edges: F1 with control, within 2 px": ("edges", "with", 0.75),
    "edges: F1 with control, within 1 px": ("edges within 1 px", "with", None),
    "depth: rank correlation with control": ("depth", "with", 0.90),
    "segmentation: mean IoU with control": ("segmentation", "with", 0.70),
}


def write(made: Path, out: Path = SHIPPED, plans: dict[str, Plan] = PLANS) -> None:
    """The folder of the model, from the checkpoints in `made`."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPTokenizer

    def learned(stage: str) -> dict[str, Any]:
        return torch.load(made / f"{stage}.pt", map_location="cpu", weights_only=True)["nets"]

    tokenizer = CLIPTokenizer.from_pretrained(made / "tokenizer")
    vae, text, unet = nets.vae(), nets.text(tokenizer), nets.unet()
    vae.load_state_dict(learned("vae")["vae"])
    spread = torch.load(made / "latents.pt", weights_only=True)["spread"]
    vae.register_to_config(scaling_factor=1 / spread)
    both = learned("unet")
    text.load_state_dict(both["text"])
    unet.load_state_dict(both["unet"])
    pipeline = nets.library().StableDiffusionPipeline(
        vae, text, tokenizer, unet, nets.scheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True)
    _open_in_float32(out / "text_encoder" / "config.json")
    for kind in nets.KINDS:
        net = nets.control(unet)
        net.load_state_dict(learned(kind)[kind])
        net.to(torch.float16).save_pretrained(out / f"controlnet-{kind}")
    save_file(
        {name: value.half().contiguous() for name, value in learned("reader")["reader"].items()},
        out / "reader.safetensors",
    )  # fmt: skip
    (out / "training.json").write_text(json.dumps(history(made, plans), indent=1), encoding="utf-8")


def _open_in_float32(config: Path) -> None:
    """Unless told otherwise, transformers opens a model in the type that its config names, diffusers
    in float32: the two must agree."""
    told = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(told | {"dtype": "float32"}, indent=2) + "\n", encoding="utf-8")


def history(made: Path, plans: dict[str, Plan] = PLANS) -> dict[str, Any]:
    """What each stage took, and its losses."""
    import torch

    found = {}
    for stage in STAGES[1:]:
        held = torch.load(made / f"{stage}.pt", map_location="cpu", weights_only=True)
        found[stage] = {
            "steps": held["steps"], "batch": plans[stage].batch, "rate": plans[stage].rate,
            "hours": round(held["seconds"] / 3600, 2), "device": held["device"],
            "losses": [round(loss, 4) for loss in held["losses"][::4]],
        }  # fmt: skip
    return found


def card(found: dict[str, Any], learned: dict[str, Any]) -> str:
    """The model card, in Markdown."""
    rows = "".join(
        f"| {name} | {found[part][key]:.3f} | {f'{bar:.2f}' if bar else '–'} |\n"
        for name, (part, key, bar) in BARS.items()
    )
    reader = found["reader"]
    stages = "".join(
        f"| {stage} | {h['steps']:,} × {h['batch']} | {h['rate']:g} | {h['hours']:.1f} h | "
        f"{h['losses'][0]:.3f} → {h['losses'][-1]:.3f} |\n"
        for stage, h in learned.items()
    )
    device = {h["device"] for h in learned.values()}
    return f"""# tiny-sd

A latent-diffusion model of 64×64 pictures small enough to ship: autoencoder (f = 4), text encoder,
U-Net, and a ControlNet each for edges, depth and segmentation, in the folder format of diffusers.

    StableDiffusionControlNetPipeline.from_pretrained("assets/models/tiny-sd", controlnet=...)

**It knows coloured toys on a floor and nothing else.** It was trained on {PICTURES:,} rendered
scenes of this project (`core/diffusion/world.py`), with their exact captions and maps, and on no
photograph. Its licence is that of the project.

## Measured

On {found["scenes"]} scenes with seeds that were never trained on, {STEPS} DDIM steps, guidance
{GUIDANCE:g}, by `python -m core.diffusion.measure`. Pictures are read by `reader.safetensors`, a net
trained on real renders alone; what it finds in the real renders of the same scenes is in the second
table.

| | measured | asked for |
|---|---|---|
{rows}| edges: F1 without control | {found["edges"]["without"]:.3f} | at most 0.40 |
| autoencoder, PSNR | {found["vae"]["psnr"]:.1f} dB | 28 dB |

| the reader on real renders | |
|---|---|
| colour, shape, both of two | {reader["colour"]:.3f}, {reader["shape"]:.3f}, {reader["both of two"]:.3f} |
| edges F1, depth, mean IoU | {reader["edges"]:.3f}, {reader["depth"]:.3f}, {reader["segmentation"]:.3f} |

## Made

`python -m core.diffusion.train`, then `python -m core.diffusion.card`. Seeds are the numbers of the
steps and scenes. Trained on {", ".join(sorted(device))} ({platform.machine()}); every loss is in `training.json`.

| stage | steps × batch | highest rate | time | loss |
|---|---|---|---|---|
{stages}"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Write and measure the shipped model.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="what the recipe made")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    given = parser.parse_args()
    made = given.folder.expanduser()
    write(made, given.out)
    found = measured(given.out)
    (given.out / "measured.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    (given.out / "README.md").write_text(card(found, history(made)), encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
