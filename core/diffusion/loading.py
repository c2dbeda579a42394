"""From a model's name to a pipeline that paints: one way for the shipped model and the big ones.

    pipeline = load("tiny-sd", ("edges", "depth"))              # StableDiffusionControlNetPipeline
    pipeline = load("sd15", task="text")                        # the same without control
    pipeline = load("sd15-inpaint", task="inpaint")
    pipeline = load("my/folder")                                # as its model_index.json says
    pipeline.scheduler = scheduler("euler", pipeline.scheduler.config)

The pool keeps the networks; a pipeline is a thin shell around them, new at every call, with a
scheduler of its own. So two tasks never hold the same weights twice, and two runs that take turns
don't count each other's steps.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import models, runtime
from core.diffusion.models import CONTROLS, MODELS, PICKLED, PRIORS, UNIONS, Z_IMAGE_CONTROL
from core.models import SAFE, ModelSpec, locate, pool
from core.types import InputError, Progress, Unavailable, silent

ROOT = Path(__file__).parents[2]

PIPELINES = {  # the class of diffusers by model and task; the first task's is read from the folder
    "tiny-sd": {"text": "StableDiffusionPipeline", "control": "StableDiffusionControlNetPipeline"},
    "sd15": {"text": "StableDiffusionPipeline", "control": "StableDiffusionControlNetPipeline"},
    "sdxl-union": {
        "text": "StableDiffusionXLPipeline",
        "control": "StableDiffusionXLControlNetUnionPipeline",
    },
    "z-image": {"text": "ZImagePipeline", "control": "ZImageControlNetPipeline"},
    "sd15-inpaint": {"inpaint": "StableDiffusionInpaintPipeline"},
    "kandinsky22-inpaint": {"inpaint": "KandinskyV22InpaintPipeline"},
    "flux2-klein": {"inpaint": "Flux2KleinInpaintPipeline"},
}
SCHEDULERS = {  # by key of core.control.types.SCHEDULERS
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "lcm": "LCMScheduler",
}
BFLOAT = ("z-image", "flux2-klein")  # made in bfloat16: their largest numbers overflow float16


# ---------------------------------------------------------------- what it takes


def resolved(spec: str | Path | ModelSpec) -> ModelSpec | None:
    """The model itself, with the key of PIPELINES by which it is loaded: of that key, a spec, or in
    a folder of diffusers' format, whose model_index.json tells. None for any other word. Raises
    InputError for a folder that isn't there or holds no such model."""
    if isinstance(spec, ModelSpec):
        if spec.key in PIPELINES or spec.revision:
            return spec
        found = resolved(Path(spec.source))
        return found and replace(spec, key=found.key, source=found.source)
    if isinstance(spec, str) and spec in MODELS:
        return MODELS[spec]
    folder = Path(spec).expanduser()
    if not folder.is_dir():
        folder = ROOT / folder
    if folder.is_dir():
        return _in_folder(folder.resolve())
    if Path(spec).name == spec:
        return None
    raise InputError(f"There is no folder {spec} on this computer. Give one that holds a model.")


def _in_folder(folder: Path) -> ModelSpec:
    shipped = MODELS["tiny-sd"]
    if folder == Path(_placed(shipped).source).resolve():
        return shipped
    try:
        name = json.loads((folder / "model_index.json").read_text("utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder} is no model in diffusers' format: it has no model_index.json that can be "
            "read. Give the folder that holds that file."
        ) from None
    known = {of: key for key, tasks in PIPELINES.items() for of in tasks.values()}
    key = (known | {"Flux2KleinPipeline": "flux2-klein"}).get(str(name))
    if key is None:
        raise InputError(
            f"{folder} holds a {name}, which can't be used here. Give one of: {', '.join(known)}."
        )
    if key == "sd15" and any(folder.glob("controlnet-*")):
        key = "tiny-sd"  # it brings its own controls
    mb = round(sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / 1e6, 1)
    return replace(
        MODELS[key], title=folder.name, source=str(folder), revision="", licence="its own",
        download_mb=mb, note="",
    )  # fmt: skip


def own(key: str, folder: str) -> str | ModelSpec:
    """What a page asks for: the model of this key, or in its place one of the same kind in a folder
    of this computer, unless that is "". Raises InputError for another kind, or where the page is
    open to strangers."""
    if not folder.strip():
        return key
    if os.environ.get("SPACE_ID") or os.environ.get("SIGHTLINE_PUBLIC") == "1":
        raise InputError(
            "This page is open to strangers and opens no folders of its computer. Leave the folder "
            "empty."
        )
    spec = resolved(Path(folder.strip()))
    assert spec is not None
    if spec.key != key:
        raise InputError(
            f"The model in {spec.source} is of the kind of {MODELS[spec.key].title}, not of "
            f"{MODELS[key].title}. Choose the one that fits, or leave the folder empty."
        )
    return spec


def parts(
    spec: str | Path | ModelSpec, kinds: Sequence[str] = (), task: str = "control"
) -> tuple[ModelSpec, ...]:
    """The models that `load` puts together: the base first. Raises InputError for a model that
    can't do the task, or doesn't know a kind of control."""
    found = resolved(spec)
    if found is None or task not in PIPELINES.get(found.key, {}):
        name = spec.key if isinstance(spec, ModelSpec) else str(spec)
        able = ", ".join(k for k, of in PIPELINES.items() if task in of)
        raise InputError(f"{name!r} has no way to do {task!r}. Choose one of: {able or 'none'}.")
    base = _placed(found)
    every = [base]
    if base.key in PRIORS:
        every.append(_placed(MODELS[PRIORS[base.key]]))
    if task == "control":
        if not kinds:
            raise InputError("No control is chosen. Choose one, or generate without control.")
        if base.key == "z-image" and len(kinds) > 1:
            raise InputError(f"{base.title} takes one map at a time. Choose one control.")
        every += [_control(base, kind) for kind in kinds]
    return tuple(dict.fromkeys(every))


def _control(base: ModelSpec, kind: str) -> ModelSpec:
    """The ControlNet that reads maps of this kind: the one in the base's own folder, if there is."""
    key = base.key
    if kind not in CONTROLS[key]:
        known = ", ".join(CONTROLS[key])
        raise InputError(f"{base.title} has no control {kind!r}. Choose one of: {known}.")
    spec = CONTROLS[key][kind]
    spec = MODELS[UNIONS[key]] if isinstance(spec, int) else spec
    beside = Path(base.source, Path(spec.source).name)
    return replace(spec, source=str(beside), revision="") if beside.is_dir() else _placed(spec)


def missing(
    spec: str | Path | ModelSpec, kinds: Sequence[str] = ("edges",), task: str = "control"
) -> str:
    """What stands between this computer and that pipeline, in a sentence; "" if nothing. Fast:
    imports no torch, fetches nothing."""
    found = parts(spec, kinds, task)
    instead = _instead(found[0].key, task)
    return next(filter(None, (_lacking(one, instead) for one in (_all(found), *found[1:]))), "")


def _lacking(spec: ModelSpec, instead: str) -> str:
    """As models.missing; of what is never fetched, that it isn't."""
    why = models.missing(spec, instead=instead)
    if why and spec.key in PICKLED and not runtime.offline():
        return f"{spec.title} is not on this computer. {spec.note} {instead}."
    return why


def _placed(spec: ModelSpec) -> ModelSpec:
    """A model of this repository, found from wherever the program was started."""
    if spec.revision:
        return spec
    return replace(spec, source=str(ROOT / Path(spec.source).expanduser()))


def _all(found: tuple[ModelSpec, ...]) -> ModelSpec:
    """The base with the memory that all of them take together."""
    return replace(found[0], memory_gb=round(sum(spec.memory_gb for spec in found), 1))


def _instead(key: str, task: str) -> str:
    if key == "tiny-sd":
        return "Control maps can be made without it"
    return "The patch method works without it" if task == "inpaint" else "tiny-sd works without it"


# ---------------------------------------------------------------- loading


def load(
    spec: str | Path | ModelSpec,
    kinds: Sequence[str] | None = None,
    task: str | None = None,
    progress: Progress = silent,
) -> Any:
    """The pipeline of diffusers that does the task ('control', 'text', 'inpaint') with this model:
    a key of PIPELINES, a ModelSpec, or a folder of one's own in diffusers' format.

    kinds are those of core.control.types.KINDS, one ControlNet each, edges unless given; a union
    takes any of them, each by its number in CONTROLS. The task, unless given, is control or
    inpainting, whichever the model is here for; of a folder without kinds, what its
    model_index.json says. Half precision on CUDA, float32 elsewhere; no safety checker. Raises
    InputError as `parts` does, Unavailable if weights, memory or a package is missing.
    """
    if task is None:
        asked = resolved(spec)
        tasks = [*PIPELINES.get(asked.key if asked else "", ("control",))]
        task = tasks[-1 if kinds is not None or asked in MODELS.values() else 0]
    kinds = ("edges",) if kinds is None else kinds
    found = parts(spec, kinds, task)
    key = found[0].key
    instead = _instead(key, task)
    for one in found[1:]:
        if one.key in PICKLED and (why := _lacking(one, instead)):
            raise Unavailable(why)  # before gigabytes are fetched for it
    locate(_all(found), runtime.stage(progress, 0.0, 0.6), instead=instead)
    dtype, name = _dtype(key), next(iter(PIPELINES[key].values()))
    base = _pooled(found[0], lambda folder: _pipeline(name, folder, dtype), progress, instead)
    build = _prior if key in PRIORS else _controlnet
    others = {
        one: _pooled(one, lambda folder: build(key, folder, dtype), progress, instead)
        for one in found[1:]
    }
    if task == "control" and key not in UNIONS:  # one net a map, also for two maps of a kind
        nets = [others[_control(found[0], kind)] for kind in kinds]
    else:
        nets = list(others.values())
    if task == "control":
        _check_fit(found[0], base, nets)
    pipeline = _shell(key, task, base, nets)
    pipeline.set_progress_bar_config(disable=True)
    progress(1.0, desc=f"loaded {found[0].title}")
    return pipeline


def _pooled(spec: ModelSpec, build: Callable[[Path], Any], progress: Progress, instead: str) -> Any:
    """From the pool; a folder that can't be read whole is Unavailable."""
    from safetensors import SafetensorError

    def built(folder: Path) -> Any:
        try:
            return build(folder).to(runtime.device())
        except (OSError, ValueError, SafetensorError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise Unavailable(
                f"{spec.title} lies in {folder}, but can't be read from there ({first}). Only whole "
                f"folders of .safetensors are opened, without code of their own. {instead}."
            ) from error

    return pool().get(spec, built, runtime.stage(progress, 0.6, 1.0), instead=instead)


def _check_fit(spec: ModelSpec, base: Any, nets: list[Any]) -> None:
    """Raise InputError for a model whose words its controls can't read."""
    unet = getattr(base, "unet", None)
    if unet is None:
        return
    wide = unet.config.cross_attention_dim
    if any(net.config.cross_attention_dim != wide for net in nets):
        raise InputError(
            f"{spec.title} takes words as {wide} numbers each, and its controls don't. Give a model "
            f"that was made from {MODELS[spec.key].title}."
        )


def _class(name: str) -> Any:
    import diffusers

    return getattr(diffusers, name)


def _dtype(key: str) -> Any:
    import torch

    if runtime.device() != "cuda" or key == "tiny-sd":  # small enough to need no rescue from NaN
        return torch.float32
    return torch.bfloat16 if key in BFLOAT else torch.float16


def _options(folder: Path, dtype: Any) -> dict[str, Any]:
    """What every from_pretrained is told; files in half precision are preferred."""
    half = next(folder.rglob("*.fp16.safetensors"), None)
    return {
        **SAFE, "dtype": dtype, "variant": "fp16" if half else None,
        "low_cpu_mem_usage": importlib.util.find_spec("accelerate") is not None,
    }  # fmt: skip


def _pipeline(name: str, folder: Path, dtype: Any) -> Any:
    options = _options(folder, dtype)
    if name.startswith("StableDiffusion") and "XL" not in name:
        options |= {
            "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False
        }  # fmt: skip
    if "XL" in name:
        options["add_watermarker"] = False
    return _class(name).from_pretrained(folder, **options)


def _prior(key: str, folder: Path, dtype: Any) -> Any:
    return _pipeline("KandinskyV22PriorPipeline", folder, dtype)


def _controlnet(key: str, folder: Path, dtype: Any) -> Any:
    if key == "z-image" and not (folder / "config.json").exists():
        from safetensors.torch import load_file

        net = _class("ZImageControlNetModel")(**Z_IMAGE_CONTROL)
        state = load_file(next(folder.glob("*.safetensors")))
        net.load_state_dict({name: w.to(dtype) for name, w in state.items()}, assign=True)
        return net.eval()
    names = {"sdxl-union": "ControlNetUnionModel", "z-image": "ZImageControlNetModel"}
    options = _options(folder, dtype)
    del options["trust_remote_code"]  # a model's class is ours to name; only pipelines ask
    return _class(names.get(key, "ControlNetModel")).from_pretrained(folder, **options)


def _shell(key: str, task: str, base: Any, nets: list[Any]) -> Any:
    """The task's pipeline around networks that are loaded already."""
    if key in PRIORS:
        prior = {f"prior_{name}": part for name, part in _components(nets[0]).items()}
        return _class("KandinskyV22InpaintCombinedPipeline")(**_components(base), **prior)
    made = _class(PIPELINES[key][task])
    given = {**base.config, **_components(base), "add_watermarker": False}
    if task == "control":
        given["controlnet"] = nets[0] if len(nets) == 1 else nets
    takes = inspect.signature(made.__init__).parameters
    return made(**{name: value for name, value in given.items() if name in takes})


def _components(pipeline: Any) -> dict[str, Any]:
    """Its networks themselves, and a scheduler of its own: that counts the steps of one run."""
    return {**pipeline.components, "scheduler": copy.deepcopy(pipeline.scheduler)}


# ---------------------------------------------------------------- schedulers and LoRA


def scheduler(key: str, config: Any) -> Any:
    """The scheduler of that key (see core.control.types.SCHEDULERS), over the noise that the
    pipeline's own scheduler, whose config this is, was trained with."""
    if key not in SCHEDULERS:
        raise InputError(f"There is no scheduler {key!r}. Choose one of: {', '.join(SCHEDULERS)}.")
    if "beta_schedule" not in config:
        raise InputError("This model has one schedule of its own. Leave the scheduler as it is.")
    return _class(SCHEDULERS[key]).from_config(config)


@contextmanager
def with_lora(pipeline: Any, file: str | Path, scale: float = 1.0) -> Iterator[Any]:
    """The pipeline with a LoRA added, W + scale·BA (Hu et al. 2021), and taken out afterwards. The
    pool hands its networks to others too, so nothing else is painted meanwhile.

    file is a .safetensors, or a key of MODELS ('lcm'). Raises Unavailable without the package peft,
    InputError for a file that doesn't fit the model.
    """
    if importlib.util.find_spec("peft") is None:
        raise Unavailable(
            "A LoRA needs the package peft: pip install peft. The model works without a LoRA."
        )
    if str(file) in MODELS:
        file = locate(MODELS[str(file)]) / "pytorch_lora_weights.safetensors"
    file = Path(file).expanduser()
    if file.suffix != ".safetensors" or not file.is_file():
        raise InputError(f"{file.name} is no .safetensors file on this computer. Give one that is.")
    with runtime.alone():
        try:
            try:
                pipeline.load_lora_weights(
                    file.parent, weight_name=file.name, adapter_name="lora", local_files_only=True
                )
                pipeline.set_adapters("lora", scale)
            except (ValueError, RuntimeError, KeyError, OSError) as error:
                raise InputError(
                    f"{file.name} is no LoRA for this model. Choose one that was made for it."
                ) from error
            yield pipeline
        finally:
            pipeline.unload_lora_weights()
