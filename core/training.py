"""One training loop for every net of the recipe: it can be stopped at any step and goes on there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor

SAVE_S = 120.0  # between checkpoints
TELL_EACH = 50  # steps
WARM_UP = 200  # steps
EMA_HORIZON = 1000  # steps the averaged weights look back, fewer at first


@dataclass(frozen=True)
class Plan:
    """How a stage learns: optimiser steps, pictures a step, the highest learning rate."""

    steps: int
    batch: int
    rate: float
    decay: float = 0.0  # of weights (AdamW)
    seed: int = 0  # of the first step's batch; each step adds one


def train(
    file: Path,
    nets: dict[str, Any],
    loss_of: Callable[[Generator], Tensor],
    plan: Plan,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train `nets` until plan.steps are done, from and to the checkpoint `file`.

    loss_of(chance) draws a batch and gives its loss. AdamW; the rate warms up and falls along a
    cosine. Gives the checkpoint: `nets` (averaged weights by net, moved into the nets too),
    `losses` (mean of TELL_EACH steps each), `seconds`, `steps`, `device`.
    """
    import torch

    device = next(next(iter(nets.values())).parameters()).device
    learned = [p for net in nets.values() for p in net.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(learned, plan.rate, (0.9, 0.99), weight_decay=plan.decay, fused=True)
    mean = {name: _copy(net) for name, net in nets.items()}
    step, losses, seconds = 0, [], 0.0
    if file.exists():
        held = torch.load(file, map_location=device, weights_only=True)
        for name, net in nets.items():
            net.load_state_dict(held["last"][name])
        adam.load_state_dict(held["adam"])
        mean, step, losses, seconds = held["nets"], held["steps"], held["losses"], held["seconds"]

    def state() -> dict[str, Any]:
        last = {name: net.state_dict() for name, net in nets.items()}
        return {
            "nets": mean, "last": last, "adam": adam.state_dict(), "steps": step,
            "losses": losses, "seconds": seconds, "device": str(device),
        }  # fmt: skip

    saved = began = time.perf_counter()
    recent = []
    while step < plan.steps:
        share = step / plan.steps
        warm = min(1.0, (step + 1) / WARM_UP)
        for group in adam.param_groups:
            group["lr"] = plan.rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)
        chance = torch.Generator().manual_seed(plan.seed + step)  # the same at every try of it
        with torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda"):
            loss = loss_of(chance)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        adam.step()
        step += 1
        _follow(mean, nets, 1 - 1 / min(EMA_HORIZON, 1 + step / 4))
        recent.append(float(loss.detach()))
        if step % TELL_EACH == 0 or step == plan.steps:
            losses.append(sum(recent) / len(recent))
            recent = []
            now = time.perf_counter()
            seconds, began = seconds + now - began, now
            tell(
                f"{file.stem}: step {step} of {plan.steps}, loss {losses[-1]:.4f}, {seconds:.0f} s"
            )
            if now - saved > SAVE_S or step == plan.steps:
                _write(state(), file)
                saved = now
    for name, net in nets.items():
        net.load_state_dict(mean[name])
        net.eval()
    return state()


def _copy(net: Any) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def _follow(mean: dict[str, dict[str, Tensor]], nets: dict[str, Any], keep: float) -> None:
    """Move the averaged weights towards those of now."""
    import torch

    with torch.no_grad():
        for name, net in nets.items():
            for key, value in net.state_dict().items():
                if value.is_floating_point():
                    mean[name][key].lerp_(value.float(), 1 - keep)
                else:
                    mean[name][key].copy_(value)


def _write(state: dict[str, Any], file: Path) -> None:
    import torch

    part = file.with_suffix(".part")
    torch.save(state, part)
    part.rename(file)
