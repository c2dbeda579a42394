"""How tiny-sd is made, from nothing: `python -m core.diffusion.train`.

    data      pictures of the small world, with prompts and exact control maps
    reader    the net that reads pictures of this world, to score what is painted
    vae       pictures to latents and back
    unet      text encoder and U-Net: the noise in a latent, given its prompt
    edges, depth, segmentation      a ControlNet each, the U-Net held still

Every stage goes on where it was stopped; all it makes lies in --folder, outside the tree. `ship`
writes assets/models/tiny-sd from it and measures what it wrote (core.diffusion.card).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import runtime
from core.diffusion import nets
from core.diffusion.reader import new_reader, reader_loss
from core.diffusion.world import Pictures, pictures
from core.scenes.shards import rendered
from core.training import Plan, train

if TYPE_CHECKING:
    from torch import Generator, Tensor

FOLDER = Path("~/.cache/sightline/tiny-sd")
PICTURES = 16_000
PLANS = {
    "reader": Plan(2_000, 32, 2e-3),
    "vae": Plan(2_000, 16, 2e-3),
    "unet": Plan(6_000, 64, 1e-3, decay=0.01),
    "edges": Plan(1_500, 32, 1e-3),
    "depth": Plan(1_000, 32, 1e-3),  # the easiest: the floor alone decides most of the ranks
    "segmentation": Plan(1_200, 32, 1e-3),
}
NO_WORDS = 0.1  # share of pictures whose prompt is dropped, for guidance (Ho and Salimans 2022)
SNR_CAP = 5.0  # of the loss's weight by signal-to-noise ratio (Hang et al. 2023)
KL = 1e-6


class Recipe:
    """The stages, and what they hand to each other through files in `folder`."""

    def __init__(self, folder: Path, count: int = PICTURES, plans: dict[str, Plan] = PLANS):
        self.folder, self.count, self.plans = folder, count, plans
        self.device = runtime.device()
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, stage: str) -> None:
        """Make one stage, or go on with it."""
        steps: dict[str, Callable[[], Any]] = {
            "data": self.pictures, "reader": self.reader, "vae": self.vae, "unet": self.unet,
            **{kind: lambda kind=kind: self.control(kind) for kind in nets.KINDS},
        }  # fmt: skip
        steps[stage]()

    def pictures(self) -> Pictures:
        held = rendered(
            self.folder / "data", self.count, _arrays,
            lambda share, desc="": print(f"{desc} {share:.0%}", flush=True),
        )  # fmt: skip
        return Pictures(**held)

    def reader(self) -> Any:
        net = new_reader().to(self.device)
        pictures = self.pictures()

        def loss(chance: Generator) -> Tensor:
            return reader_loss(net, pictures, _drawn(pictures, self.plans["reader"].batch, chance))

        self._train("reader", {"reader": net}, loss)
        return net

    def vae(self) -> Any:
        import torch

        net = nets.vae().to(self.device)
        rgb = self.pictures().rgb

        def loss(chance: Generator) -> Tensor:
            x = signed(rgb[_drawn(rgb, self.plans["vae"].batch, chance)], self.device)
            latent = net.encode(x).latent_dist
            noise = torch.randn(latent.mean.shape, generator=chance).to(x.device)
            again = net.decode(latent.mean + latent.std * noise).sample
            return ((again - x) ** 2).mean() + KL * latent.kl().sum() / latent.mean.numel()

        self._train("vae", {"vae": net}, loss)
        return net.requires_grad_(False)

    def latents(self) -> Tensor:
        """(N, 4, 16, 16) of all pictures, scaled to a spread of 1; written once."""
        import torch

        file = self.folder / "latents.pt"
        if not file.exists():
            net, rgb, found = self.vae(), self.pictures().rgb, []
            with torch.inference_mode():
                for start in range(0, len(rgb), 100):
                    x = signed(rgb[start : start + 100], self.device)
                    found.append(net.encode(x).latent_dist.mean.cpu())
            whole = torch.cat(found)
            torch.save({"latents": whole / whole.std(), "spread": float(whole.std())}, file)
        return torch.load(file, weights_only=True)["latents"]

    def words(self) -> tuple[Any, Tensor, Tensor]:
        """The tokenizer, ids (N, K, 77) of all prompts, and (77,) of no prompt."""
        import torch

        prompts = self.pictures().prompts
        known = nets.tokenizer(prompts.ravel().tolist(), self.folder / "tokenizer")
        ids = nets.tokens(known, prompts.ravel().tolist())
        none = nets.tokens(known, [""])[0]
        return known, ids.reshape(*prompts.shape, -1).to(torch.int16), none

    def unet(self) -> tuple[Any, Any]:
        known, ids, none = self.words()
        latents, batch = self.latents(), self.plans["unet"].batch
        made = {"text": nets.text(known).to(self.device), "unet": nets.unet().to(self.device)}

        def loss(chance: Generator) -> Tensor:
            chosen = _drawn(latents, batch, chance)
            context = made["text"](_said(ids, none, chosen, chance, self.device))[0]
            return noise_loss(latents[chosen].to(self.device), chance,
                              lambda x, t: made["unet"](x, t, context).sample)  # fmt: skip

        self._train("unet", made, loss)
        return tuple(net.requires_grad_(False) for net in made.values())  # type: ignore[return-value]

    def control(self, kind: str) -> Any:
        import torch

        _, ids, none = self.words()
        text, unet = self.unet()
        net = nets.control(unet).to(self.device).requires_grad_(True)
        latents, maps, batch = self.latents(), self.pictures(), self.plans[kind].batch

        def loss(chance: Generator) -> Tensor:
            chosen = _drawn(latents, batch, chance)
            with torch.no_grad():
                context = text(_said(ids, none, chosen, chance, self.device))[0]
            hint = condition(maps, kind, chosen, self.device)

            def painted(x: Tensor, t: Tensor) -> Tensor:
                down, middle = net(x, t, context, hint, return_dict=False)
                return unet(
                    x, t, context, down_block_additional_residuals=down,
                    mid_block_additional_residual=middle,
                ).sample  # fmt: skip

            return noise_loss(latents[chosen].to(self.device), chance, painted)

        self._train(kind, {kind: net}, loss)
        return net

    def _train(self, stage: str, made: dict[str, Any], loss: Callable) -> dict[str, Any]:
        for net in made.values():
            net.train()
        return train(
            self.folder / f"{stage}.pt", made, loss, self.plans[stage],
            lambda line: print(line, flush=True),
        )  # fmt: skip


def _arrays(seeds: range) -> dict[str, np.ndarray]:
    return vars(pictures(seeds))


def noise_loss(latents: Tensor, chance: Generator, painted: Callable) -> Tensor:
    """‖ε − ε_θ(x_t, t)‖² at random times, weighted by min(SNR, SNR_CAP) / SNR."""
    import torch

    alphas = nets.scheduler().alphas_cumprod
    t = torch.randint(0, len(alphas), (len(latents),), generator=chance)
    noise = torch.randn(latents.shape, generator=chance).to(latents.device)
    kept = alphas[t].to(latents.device)[:, None, None, None]
    told = painted(kept.sqrt() * latents + (1 - kept).sqrt() * noise, t.to(latents.device))
    snr = (kept / (1 - kept)).flatten()
    error = ((told.float() - noise) ** 2).mean((1, 2, 3))
    return (error * snr.clamp(max=SNR_CAP) / snr).mean()


def condition(maps: Pictures, kind: str, chosen: np.ndarray, device: str) -> Tensor:
    """(B, 3, S, S) in [0, 1]: control maps as the pipelines hand them in."""
    import torch

    from core.scenes.control import segmentation

    if kind == "segmentation":
        found = segmentation(maps.ids[chosen].astype(np.int32))
    else:
        found = np.repeat(getattr(maps, kind)[chosen][..., None], 3, axis=-1)
    return torch.from_numpy(found).permute(0, 3, 1, 2).to(device).float() / 255


def signed(rgb: np.ndarray, device: str) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) in [-1, 1]."""
    import torch

    return torch.from_numpy(rgb).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _drawn(of: Any, count: int, chance: Generator) -> np.ndarray:
    import torch

    return torch.randint(0, len(of), (count,), generator=chance).numpy()


def _said(ids: Tensor, none: Tensor, chosen: np.ndarray, chance: Generator, device: str) -> Tensor:
    """(B, 77) ids: of each picture one of its prompts, or no words."""
    import torch

    which = torch.randint(0, ids.shape[1], (len(chosen),), generator=chance)
    found = ids[chosen, which].long()
    dropped = torch.rand(len(chosen), generator=chance) < NO_WORDS
    return torch.where(dropped[:, None], none, found).to(device)


STAGES = ("data", "reader", "vae", "unet", *nets.KINDS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train tiny-sd, stage by stage.")
    parser.add_argument("--stage", choices=(*STAGES, "all"), default="all")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where everything is kept")
    given = parser.parse_args()
    recipe = Recipe(given.folder.expanduser())
    for stage in STAGES if given.stage == "all" else (given.stage,):
        recipe.run(stage)


if __name__ == "__main__":
    main()
