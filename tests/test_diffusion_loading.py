"""Diffusion models, with tiny random networks of the same classes in the layout of the real ones.

The weights know nothing, but everything else is real: found offline by repository id and pinned
commit, loaded from safetensors, put together without a second copy, and run to a picture.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import models
from core.control import ControlResult, ControlSettings, Hint, generate, types
from core.control.inspect import look_inside
from core.control.painting import decoded
from core.diffusion import MODELS, load, loading, nets
from core.diffusion.loading import missing, parts, scheduler, with_lora
from core.diffusion.models import CONTROLS, UNIONS
from core.types import InputError, Unavailable
from tests.hub import hub_cache

SIDE = 64
WORDS = ["a red ball left of a blue cube", "user assistant think"]
HUB = ("sd15", "sd15-canny", "sd15-depth", "sdxl-union", "sdxl-union-control", "sd15-inpaint",
       "kandinsky22-inpaint", "kandinsky22-prior", "flux2-klein", "z-image",
       "z-image-control")  # fmt: skip


# ---------------------------------------------------------------- tiny checkpoints


def _diffusers() -> Any:
    import diffusers

    return diffusers


def _clip(tokenizer: Any, projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, projection_dim=8,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def _vae(**kwargs: Any) -> Any:
    return _diffusers().AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, sample_size=SIDE,
        **kwargs,
    )  # fmt: skip


UNET: dict[str, Any] = {
    "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4,
    "attention_head_dim": 4, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
}  # fmt: skip
XL: dict[str, Any] = {
    "cross_attention_dim": 16, "addition_embed_type": "text_time", "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 6 * 4 + 8,
}  # fmt: skip


def _unet(**kwargs: Any) -> Any:
    return _diffusers().UNet2DConditionModel(
        sample_size=SIDE // 2, up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **UNET, **kwargs
    )


def _stirred(net: Any) -> Any:
    """Zero convolutions would make a control that says nothing."""
    import torch

    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return net


def _sd(folder: Path, tokenizer: Any, unet: Any, name: str) -> None:
    getattr(_diffusers(), name)(
        vae=_vae(), text_encoder=_clip(tokenizer), tokenizer=tokenizer, unet=unet,
        scheduler=nets.scheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, variant="fp16")  # fmt: skip
    index = json.loads((folder / "model_index.json").read_text())
    index |= {  # as the hub has it, though their weights are never fetched
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))


def _sdxl(folder: Path, tokenizer: Any) -> None:
    d = _diffusers()
    d.StableDiffusionXLPipeline(
        vae=_vae(), text_encoder=_clip(tokenizer), text_encoder_2=_clip(tokenizer, True),
        tokenizer=tokenizer, tokenizer_2=tokenizer, unet=_unet(**XL), scheduler=nets.scheduler(),
        add_watermarker=False,
    ).save_pretrained(folder / "sdxl-union")  # fmt: skip
    union = d.ControlNetUnionModel(
        **UNET, **XL, conditioning_embedding_out_channels=(8, 16), num_trans_channel=8,
        num_trans_head=2, num_proj_channel=8,
    )  # fmt: skip
    _stirred(union).save_pretrained(folder / "sdxl-union-control")


def _kandinsky(folder: Path, tokenizer: Any) -> None:
    d = _diffusers()
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    movq = d.VQModel(
        block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=4, norm_type="spatial",
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"), latent_channels=4,
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"), num_vq_embeddings=12,
        vq_embed_dim=4,
    )  # fmt: skip
    unet = d.UNet2DConditionModel(
        in_channels=9, out_channels=8, addition_embed_type="image", cross_attention_dim=8,
        encoder_hid_dim=8, encoder_hid_dim_type="image_proj", block_out_channels=(8, 16),
        layers_per_block=1, norm_num_groups=4, attention_head_dim=4,
        resnet_time_scale_shift="scale_shift", mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
    )  # fmt: skip
    d.KandinskyV22InpaintPipeline(
        unet=unet, scheduler=d.DDPMScheduler(), movq=movq
    ).save_pretrained(folder / "kandinsky22-inpaint")
    vision = CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, projection_dim=8, num_hidden_layers=1,
        num_attention_heads=2, image_size=32, patch_size=16,
    )  # fmt: skip
    prior = d.PriorTransformer(
        num_attention_heads=2, attention_head_dim=4, num_layers=1, embedding_dim=8
    )
    prior.clip_std.data.fill_(1.0)
    d.KandinskyV22PriorPipeline(
        prior=prior, image_encoder=CLIPVisionModelWithProjection(vision),
        text_encoder=_clip(tokenizer, True), tokenizer=tokenizer,
        scheduler=d.UnCLIPScheduler(prediction_type="sample", num_train_timesteps=1000),
        image_processor=CLIPImageProcessorPil(),
    ).save_pretrained(folder / "kandinsky22-prior")  # fmt: skip
    index = folder / "kandinsky22-prior" / "model_index.json"
    index.write_text(index.read_text().replace("CLIPImageProcessorPil", "CLIPImageProcessor"))


def _qwen(clip: Any) -> tuple[Any, Any]:
    from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

    vocab = {chr(c): c - 33 for c in range(33, 127)} | {"Ġ": 94, "Ċ": 95, "<|endoftext|>": 96}
    tokenizer = Qwen2TokenizerFast(vocab=vocab, merges=[], model_max_length=512)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=4, max_position_embeddings=512,
    )  # fmt: skip
    return tokenizer, Qwen3ForCausalLM(config)


def _flux(folder: Path, tokenizer: Any) -> None:
    d = _diffusers()

    words, encoder = _qwen(tokenizer)
    vae = d.AutoencoderKLFlux2(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, latent_channels=4,
    )  # fmt: skip
    net = d.Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=3 * 8, timestep_guidance_channels=8,
        axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    d.Flux2KleinPipeline(
        vae=vae, text_encoder=encoder, tokenizer=words, transformer=net, is_distilled=True,
        scheduler=d.FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder / "flux2-klein")  # fmt: skip


Z_SIZES: dict[str, Any] = {"dim": 16, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2}
Z_CONTROL: dict[str, Any] = {**Z_SIZES, "control_layers_places": [0], "control_in_dim": 4}


def _z_image(folder: Path, tokenizer: Any) -> None:
    d = _diffusers()
    from safetensors.torch import save_file

    words, encoder = _qwen(tokenizer)
    net = d.ZImageTransformer2DModel(
        in_channels=4, n_layers=2, cap_feat_dim=8, axes_dims=[4, 2, 2], axes_lens=[1024, 64, 64],
        **Z_SIZES,
    )  # fmt: skip
    for name in ("x_pad_token", "cap_pad_token"):
        getattr(net, name).data.zero_()
    d.ZImagePipeline(
        vae=_vae(shift_factor=0.1), text_encoder=encoder.model, tokenizer=words, transformer=net,
        scheduler=d.FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(folder / "z-image")  # fmt: skip
    control = folder / "z-image-control"
    control.mkdir()
    state = _stirred(d.ZImageControlNetModel(**Z_CONTROL)).state_dict()
    save_file(state, control / "Z-Image-Turbo-Fun-Controlnet-Union.safetensors")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny checkpoint for each of HUB."""
    import torch

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("saved")
    tokenizer = nets.tokenizer(WORDS, root / "tokenizer")
    unet = _unet(cross_attention_dim=8)
    _sd(root / "sd15", tokenizer, unet, "StableDiffusionPipeline")
    _sd(
        root / "sd15-inpaint", tokenizer, _unet(in_channels=9, cross_attention_dim=8),
        "StableDiffusionInpaintPipeline",
    )  # fmt: skip
    for kind in ("canny", "depth"):
        net = _diffusers().ControlNetModel.from_unet(
            unet, conditioning_embedding_out_channels=(8, 16)
        )
        _stirred(net).save_pretrained(root / f"sd15-{kind}", variant="fp16")
    for make in (_sdxl, _kandinsky, _flux, _z_image):
        make(root, tokenizer)
    assert not list(root.rglob("*.bin"))
    return root


@pytest.fixture(scope="module")
def cache(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    for key in HUB:
        found = hub_cache(root, MODELS[key].source, MODELS[key].revision, saved / key)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has tiny-sd where this repository has it, in its real sizes, untrained."""
    import torch

    root = tmp_path_factory.mktemp("project")
    folder = root / MODELS["tiny-sd"].source
    tokenizer, unet = nets.tokenizer(WORDS, root / "words"), nets.unet()
    _diffusers().StableDiffusionPipeline(
        vae=nets.vae(), text_encoder=nets.text(tokenizer), tokenizer=tokenizer, unet=unet,
        scheduler=nets.scheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    ).to(torch.float16).save_pretrained(folder)  # fmt: skip
    for kind in nets.KINDS:
        _stirred(nets.control(unet)).half().save_pretrained(folder / f"controlnet-{kind}")
    return root


@pytest.fixture(autouse=True)
def offline(cache: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network; the caches above; and the big models pretend to need no GPU."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"network access: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    monkeypatch.setattr(loading, "ROOT", project)
    monkeypatch.setattr(loading, "Z_IMAGE_CONTROL", Z_CONTROL)
    for key, spec in MODELS.items():
        needs = tuple(need for need in spec.needs if need != "gpu")
        monkeypatch.setitem(MODELS, key, replace(spec, needs=needs, memory_gb=0.1))


@pytest.fixture(scope="module", autouse=True)
def empty_pool() -> Iterator[None]:
    models.pool().clear()
    yield
    models.pool().clear()


def _map(seed: int = 0) -> Any:
    from PIL import Image

    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8))


def _picture(pipeline: Any, **kwargs: Any) -> np.ndarray:
    import torch

    made = pipeline(
        "a red ball", num_inference_steps=2, height=SIDE, width=SIDE, output_type="np",
        generator=torch.Generator().manual_seed(0), **kwargs,
    ).images  # fmt: skip
    assert made.shape == (1, SIDE, SIDE, 3) and np.isfinite(made).all() and made.std() > 0
    return made


def _mask() -> Any:
    from PIL import Image

    hole = np.zeros((SIDE, SIDE), np.uint8)
    hole[16:48, 16:48] = 255
    return Image.fromarray(hole)


# ---------------------------------------------------------------- to a picture


@pytest.mark.parametrize("key", ["tiny-sd", "sd15"])
def test_one_control_or_two_or_none(key: str) -> None:
    one, two, none = load(key, ("edges",)), load(key, ("edges", "depth")), load(key, task="text")
    names = [type(pipeline).__name__ for pipeline in (one, two, none)]
    assert names == ["StableDiffusionControlNetPipeline"] * 2 + ["StableDiffusionPipeline"]
    assert type(one.controlnet).__name__ == "ControlNetModel"
    assert two.controlnet.nets[0] is one.controlnet and len(two.controlnet.nets) == 2
    controlled = _picture(one, image=_map())
    both = _picture(two, image=[_map(), _map(1)])
    free = _picture(none)
    assert np.abs(controlled - free).max() > 1e-3 and np.abs(both - controlled).max() > 1e-3
    same = _picture(one, image=_map(), controlnet_conditioning_scale=0.0)
    np.testing.assert_allclose(same, free, atol=1e-4)


def test_two_maps_of_a_kind_share_their_net() -> None:
    first, second = load("tiny-sd", ("depth", "depth")).controlnet.nets
    assert first is second


def test_union() -> None:
    pipeline = load("sdxl-union", ("edges", "depth"))
    assert type(pipeline).__name__ == "StableDiffusionXLControlNetUnionPipeline"
    assert pipeline.watermark is None
    modes = [CONTROLS["sdxl-union"][kind] for kind in ("edges", "depth")]
    assert modes == [3, 1]
    made = _picture(pipeline, control_image=[_map(), _map(1)], control_mode=modes)
    text = load("sdxl-union", task="text")
    assert text.unet is pipeline.unet and text.watermark is None
    assert np.abs(_picture(text) - made).max() > 1e-3


def test_z_image() -> None:
    pipeline = load("z-image", ("edges",))
    made = _picture(pipeline, control_image=_map(), guidance_scale=0.0)
    text = load("z-image", task="text")
    assert np.abs(_picture(text, guidance_scale=0.0) - made).max() > 1e-4
    with pytest.raises(InputError, match="one map at a time"):
        load("z-image", ("edges", "depth"))


@pytest.mark.parametrize("key", ["sd15-inpaint", "kandinsky22-inpaint", "flux2-klein"])
def test_inpainting(key: str) -> None:
    extra: dict[str, Any] = {}
    if key == "kandinsky22-inpaint":
        extra["prior_num_inference_steps"] = 2
    if key == "flux2-klein":
        extra["text_encoder_out_layers"] = (0, 1, 2)
    pipeline = load(key, task="inpaint")
    _picture(pipeline, image=_map(), mask_image=_mask(), **extra)
    assert getattr(pipeline.config, "is_distilled", True)


def test_no_weights_are_held_twice_and_the_pool_gives_the_same_again() -> None:
    control, again, text = load("sd15"), load("sd15"), load("sd15", task="text")
    for part in ("unet", "vae", "text_encoder", "tokenizer"):
        assert getattr(control, part) is getattr(again, part) is getattr(text, part)
    assert control.controlnet is again.controlnet
    assert control.scheduler is not again.scheduler  # it counts one run's steps
    assert models.pool().keys.count("sd15") == 1
    text.scheduler = scheduler("euler", text.scheduler.config)
    assert type(load("sd15", task="text").scheduler).__name__ == "DDIMScheduler"


def test_half_precision_files_run_in_float32_on_a_cpu() -> None:
    import torch

    pipeline = load("tiny-sd")
    wanted = torch.float16 if torch.cuda.is_available() else torch.float32
    assert {pipeline.unet.dtype, pipeline.vae.dtype, pipeline.controlnet.dtype} == {wanted}
    assert pipeline.safety_checker is None and not pipeline.config.requires_safety_checker


def test_tables_agree() -> None:
    assert set(loading.SCHEDULERS) == set(types.SCHEDULERS)
    assert {spec.source.rpartition("-")[2] for spec in CONTROLS["tiny-sd"].values()} == set(
        nets.KINDS
    )  # type: ignore[union-attr]
    for key, kinds in CONTROLS.items():
        assert set(kinds) <= set(types.KINDS) and "control" in loading.PIPELINES[key]
        assert all(isinstance(spec, int) == (key in UNIONS) for spec in kinds.values())
    assert len({spec.source for spec in MODELS.values()}) == len(MODELS)


@pytest.mark.parametrize(
    ("key", "kinds"),
    [("sd15", ("edges",)), ("sd15", ("edges", "depth")), ("sdxl-union", ("edges",)),
     ("sdxl-union", ("edges", "depth")), ("z-image", ("edges",)), ("z-image", ("depth",))],
)  # fmt: skip
def test_the_tab_paints_with_big_models(key: str, kinds: tuple[str, ...]) -> None:
    line, ramp = np.zeros((2, 64, 64, 3), np.uint8)
    line[20:22] = 255
    ramp += np.arange(0, 256, 4, dtype=np.uint8)[:, None, None]
    hints = [Hint({"edges": line, "depth": ramp}[kind], kind) for kind in kinds]
    settings = ControlSettings(model=key, prompt="a red ball", steps=2, size_px=64)
    *_, result = generate(hints, settings, agreement=lambda image, hint: 0.5)
    assert isinstance(result, ControlResult)
    assert result.images.shape == (1, 64, 64, 3) and len(result.film.t) == 2
    assert result.baseline is not None and (result.images != result.baseline).any()
    last = decoded(load(key, task="text"), result.film.x0[-1].astype(np.float32))
    assert np.abs(last.astype(int) - result.images).max() <= 2
    told = any("schedule" in note for note in result.notes)
    assert told == (key == "z-image")
    assert tuple(hint.kind for hint in result.hints) == kinds
    np.testing.assert_array_equal(result.hints[0].map, hints[0].map)  # a ramp's tones are kept


def test_a_union_can_be_looked_into() -> None:
    line = np.zeros((64, 64, 3), np.uint8)
    line[20:22] = 255
    settings = ControlSettings(model="sdxl-union", prompt="a red ball", steps=2, size_px=64)
    seen = look_inside([Hint(line, "edges")], settings)
    np.testing.assert_allclose(seen.attention.sum(0) + seen.padding, 1, atol=1e-4)
    assert all(len(one.norm) == 2 for one in seen.residuals)


# ---------------------------------------------------------------- schedulers, LoRA


@pytest.mark.parametrize("key", list(loading.SCHEDULERS))
def test_every_scheduler_paints(key: str) -> None:
    pipeline = load("sd15", task="text")
    trained = pipeline.scheduler.config
    pipeline.scheduler = scheduler(key, trained)
    assert type(pipeline.scheduler).__name__ == loading.SCHEDULERS[key]
    assert pipeline.scheduler.config.beta_end == trained.beta_end
    _picture(pipeline)


def test_schedulers_that_cannot_be() -> None:
    with pytest.raises(InputError, match="no scheduler 'magic'"):
        scheduler("magic", load("sd15", task="text").scheduler.config)
    with pytest.raises(InputError, match="schedule of its own"):
        scheduler("ddim", load("z-image", task="text").scheduler.config)


def test_lora_without_peft(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "peft" else real(name, *rest),
    )
    with (
        pytest.raises(Unavailable, match="pip install peft"),
        with_lora(None, tmp_path / "style.safetensors"),
    ):
        pass


def test_lora_is_added_and_taken_out(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    pipeline = load("sd15", task="text")
    before = _picture(pipeline)
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    chance = torch.Generator().manual_seed(1)
    down, up = (torch.randn(shape, generator=chance) for shape in ((2, 16), (16, 2)))
    file = tmp_path / "style.safetensors"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": 9 * up}, file)
    with with_lora(pipeline, file, 1.0):
        full = _picture(pipeline)
    with with_lora(pipeline, file, 0.0):
        none = _picture(pipeline)
    np.testing.assert_array_equal(_picture(pipeline), before)
    np.testing.assert_allclose(none, before, atol=1e-5)
    assert np.abs(full - before).max() > 1e-4
    save_file(
        {f"{name}.lora_A.weight": down[:, :4].clone(), f"{name}.lora_B.weight": up[:4].clone()},
        file,
    )
    with pytest.raises(InputError, match="no LoRA for this model"), with_lora(pipeline, file):
        pass
    np.testing.assert_array_equal(_picture(pipeline), before)
    for bad in (tmp_path / "style.bin", tmp_path / "gone.safetensors"):
        with pytest.raises(InputError, match=r"no \.safetensors file"), with_lora(pipeline, bad):
            pass


# ---------------------------------------------------------------- what can't be, in plain words


def test_a_wrong_choice_says_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no control 'pose'.*edges, depth, segmentation"):
        load("tiny-sd", ("pose",))
    with pytest.raises(InputError, match=r"no way to do 'inpaint'.*sd15-inpaint"):
        load("tiny-sd", task="inpaint")
    with pytest.raises(InputError, match="no way to do 'control'"):
        load("nothing")
    with pytest.raises(InputError, match="No control is chosen"):
        load("tiny-sd", ())


def _told(key: str, kinds: tuple[str, ...] = ("edges",), task: str = "control") -> str:
    """What `load` refuses with; `missing` says the same beforehand."""
    models.pool().clear()
    with pytest.raises(Unavailable) as error:
        load(key, kinds, task)
    assert missing(key, kinds, task) == str(error.value)
    return str(error.value)


def test_all_that_is_here_is_not_missing() -> None:
    assert missing("tiny-sd", nets.KINDS) == missing("sd15", ("edges", "depth")) == ""
    assert missing("kandinsky22-inpaint", task="inpaint") == ""


def test_missing_weights_and_no_network() -> None:
    told = _told("sd15", ("edges", "tile"))
    assert "ControlNet 1.1 tile is not on this computer and Sightline is offline" in told
    assert "723 MB" in told and told.endswith("tiny-sd works without it.")


def test_another_commit_is_not_taken(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = hub_cache(tmp_path, MODELS["sd15-inpaint"].source, "f" * 40, saved / "sd15-inpaint")
    monkeypatch.setenv("HF_HUB_CACHE", str(found))
    told = _told("sd15-inpaint", task="inpaint")
    assert "is not on this computer" in told and told.endswith("The patch method works without it.")


def test_a_commit_that_the_hub_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2
    import huggingface_hub
    from huggingface_hub.errors import RevisionNotFoundError

    def refuse(*args: Any, **kwargs: Any) -> None:
        if kwargs.get("local_files_only"):
            raise huggingface_hub.errors.LocalEntryNotFoundError("not here")
        answer: Any = httpx2.Response(404, request=httpx2.Request("GET", "https://hub"))
        raise RevisionNotFoundError("404", response=answer)

    models.pool().clear()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "0")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(Unavailable, match=r"no version 451f4fe1\w+\. tiny-sd works without it\."):
        load("sd15")


def test_too_little_memory_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base alone fits, and each control; together they don't."""
    monkeypatch.setattr(models, "memory_gb", lambda: 0.4)
    for kind, key in (("edges", "sd15-canny"), ("depth", "sd15-depth")):
        monkeypatch.setitem(CONTROLS["sd15"], kind, replace(MODELS[key], memory_gb=0.2))
    assert missing("sd15", ("edges",)) == ""
    told = _told("sd15", ("edges", "depth"))
    assert "needs 0.5 GB of memory; this computer has 0.4 GB" in told


def test_big_models_want_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_gpu_gb", lambda asking_torch: 0.0)
    spec = MODELS["sdxl-union"]
    monkeypatch.setitem(MODELS, "sdxl-union", replace(spec, needs=(*spec.needs, "gpu")))
    assert "needs a GPU, and this computer has none" in _told("sdxl-union")


def test_the_shipped_model_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "ROOT", tmp_path)
    told = _told("tiny-sd")
    assert "should lie in the folder" in told and "Control maps can be made without it" in told


def test_a_folder_of_yours_works_where_an_id_does(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.pool().clear()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("SIGHTLINE_MODELS", str(tmp_path))
    for key, source in (("sd15", "sd15"), ("sd15-tile", "sd15-depth")):
        shutil.copytree(saved / source, tmp_path / MODELS[key].source)
    _picture(load("sd15", ("tile",)), image=_map())


# ---------------------------------------------------------------- what is never opened


@pytest.fixture
def shelf(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of sd15 in a folder of the person's own."""
    models.pool().clear()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("SIGHTLINE_MODELS", str(tmp_path))
    folder = tmp_path / MODELS["sd15"].source
    shutil.copytree(saved / "sd15", folder)
    return folder


def _pickle(file: Path) -> None:
    """A pickle that leaves a trace if anything opens it."""
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (file.with_name("opened"),)

    file.write_bytes(pickle.dumps(Trap()))


@pytest.mark.parametrize("every", [True, False], ids=["all pickles", "one pickle"])
def test_pickles_are_refused(every: bool, shelf: Path) -> None:
    for file in shelf.rglob("*.safetensors"):
        if every or file.parent.name == "unet":
            file.unlink()
            name = (
                "diffusion_pytorch_model" if file.parent.name != "text_encoder" else "pytorch_model"
            )
            _pickle(file.with_name(f"{name}.bin"))
            _pickle(file.with_name(f"{name}.fp16.bin"))
    with pytest.raises(
        Unavailable, match="a pickle" if every else r"whole folders of \.safetensors"
    ):
        load("sd15", task="text")
    assert not list(shelf.rglob("opened"))


def test_a_folder_cannot_bring_code_of_its_own(shelf: Path) -> None:
    trace = shelf / "ran"
    code = f"open({str(trace)!r}, 'w')\nclass Evil: pass\n"
    (shelf / "evil.py").write_text(code)
    (shelf / "unet" / "evil.py").write_text(code)
    index = json.loads((shelf / "model_index.json").read_text())
    for change in ({"_class_name": ["evil", "Evil"]}, {"unet": ["evil", "Evil"]}):
        (shelf / "model_index.json").write_text(json.dumps(index | change))
        with pytest.raises(Unavailable, match="can't be read"):
            load("sd15", task="text")
    assert not trace.exists()


def test_a_cut_file_is_told(shelf: Path) -> None:
    file = next((shelf / "unet").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(Unavailable, match=r"Stable Diffusion 1\.5 lies in .*can't be read"):
        load("sd15", task="text")
    assert "sd15" not in models.pool().keys


def test_parts_are_named_once() -> None:
    assert [spec.key for spec in parts("sdxl-union", ("edges", "depth"))] == [
        "sdxl-union", "sdxl-union-control",
    ]  # fmt: skip
    assert [spec.key for spec in parts("sd15", ("edges", "edges"))] == ["sd15", "sd15-canny"]
    assert [spec.key for spec in parts("sd15", ("edges",), "text")] == ["sd15"]


# ---------------------------------------------------------------- a model of one's own


def test_a_key_a_spec_and_a_folder_are_one_model(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = [load("tiny-sd"), load(MODELS["tiny-sd"]), load(project / MODELS["tiny-sd"].source)]
    assert len({id(pipeline.unet) for pipeline in made}) == 1
    assert {type(pipeline).__name__ for pipeline in made} == {"StableDiffusionControlNetPipeline"}
    assert load(MODELS["tiny-sd"].source).unet is made[0].unet, "wherever the program was started"
    assert type(load(MODELS["sd15-inpaint"])).__name__ == "StableDiffusionInpaintPipeline"


@pytest.mark.parametrize(
    ("key", "name"),
    [("sd15", "StableDiffusionPipeline"), ("sdxl-union", "StableDiffusionXLPipeline"),
     ("z-image", "ZImagePipeline"), ("sd15-inpaint", "StableDiffusionInpaintPipeline"),
     ("kandinsky22-inpaint", "KandinskyV22InpaintCombinedPipeline"),
     ("flux2-klein", "Flux2KleinInpaintPipeline")],
)  # fmt: skip
def test_a_folder_tells_what_it_is(key: str, name: str, saved: Path) -> None:
    assert type(load(str(saved / key))).__name__ == name
    mine = models.ModelSpec("mine", "Mine", str(saved / key), "", "MIT", 1, 0.1)
    assert type(load(mine)).__name__ == name and loading.resolved(mine) == replace(mine, key=key)


def test_a_folder_of_yours_is_controlled(
    saved: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _picture(load(saved / "sd15", ("edges",)), image=_map())
    monkeypatch.setattr(loading, "ROOT", tmp_path)  # what was shipped is gone
    _picture(load(project / MODELS["tiny-sd"].source, ("depth",)), image=_map())
    words = nets.tokenizer(WORDS, tmp_path / "words")
    _sd(tmp_path / "other", words, _unet(cross_attention_dim=12), "StableDiffusionPipeline")
    with pytest.raises(InputError, match=r"made from Stable Diffusion 1\.5"):
        load(tmp_path / "other", ("edges",))


def test_a_folder_that_is_no_model_is_refused(saved: Path, tmp_path: Path) -> None:
    for folder, told in (
        (tmp_path / "gone", "There is no folder"),
        (tmp_path, r"no model_index\.json"),
        (saved / "kandinsky22-prior", "holds a KandinskyV22PriorPipeline, which can't be used"),
    ):
        with pytest.raises(InputError, match=told):
            load(folder)
    (tmp_path / "model_index.json").write_text("[]")
    with pytest.raises(InputError, match=r"no model_index\.json that can be read"):
        load(tmp_path)


def test_pickles_in_a_folder_of_yours_stay_shut(shelf: Path) -> None:
    for file in shelf.rglob("*.safetensors"):
        file.unlink()
        _pickle(file.with_suffix(".bin"))
    with pytest.raises(Unavailable, match="a pickle"):
        load(shelf)
    assert not list(shelf.rglob("opened"))


def test_a_page_opens_folders_for_its_owner_alone(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(saved / "sd15")
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert loading.own("sd15", " ") == "sd15"
    assert loading.own("sd15", folder) == loading.resolved(Path(folder))
    with pytest.raises(InputError, match=r"of Stable Diffusion 1\.5, not of SDXL"):
        loading.own("sdxl-union", folder)
    for name, value in (("SPACE_ID", "some/space"), ("SIGHTLINE_PUBLIC", "1")):
        with monkeypatch.context() as here:
            here.setenv(name, value)
            with pytest.raises(InputError, match="open to strangers"):
                loading.own("sd15", folder)


def test_the_tab_paints_with_a_folder_of_yours(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "sd15", replace(MODELS["sd15"], source="no/where"))
    line = np.zeros((64, 64, 3), np.uint8)
    line[20:22] = 255
    settings = ControlSettings(model="sd15", prompt="a ball", steps=2, size_px=64, baseline=False)
    with pytest.raises(Unavailable):
        list(generate(Hint(line, "edges"), settings))
    mine = replace(settings, folder=str(saved / "sd15"))
    *_, result = generate(Hint(line, "edges"), mine, agreement=lambda image, hint: 0.5)
    assert isinstance(result, ControlResult) and result.recipe.model == str(saved / "sd15")
    assert "folder=" in result.recipe.code()


def test_what_the_hub_has_as_a_pickle_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in ("HF_HUB_OFFLINE", "SIGHTLINE_OFFLINE"):
        monkeypatch.setenv(name, "0")
    told = r"pickle only.*\.safetensors in a folder\. tiny-sd works"
    with pytest.raises(Unavailable, match=told):
        load("sd15", ("tile",))
