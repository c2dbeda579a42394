"""The diffusion models: the shipped one and the big ones, and which controls each understands.

Weights are fetched in half precision where the hub has them so, and only the files that are read:
`files` names them, since a repository often holds the same weights three times over.
"""

from __future__ import annotations

from core.models import ModelSpec

NEEDS = ("torch", "transformers", "diffusers")
OPENRAIL = "CreativeML OpenRAIL-M"
CONFIGS = ("*.json", "*.txt", "*.jinja")


def _half(*folders: str) -> tuple[str, ...]:
    return (*CONFIGS, *(f"{folder}/*.fp16.safetensors" for folder in folders))


def _whole(*folders: str) -> tuple[str, ...]:
    return (*CONFIGS, *(f"{folder}/*.safetensors" for folder in folders))


SD_PARTS = _half("unet", "vae", "text_encoder")

TINY = ModelSpec(
    key="tiny-sd",
    title="tiny-sd",
    source="assets/models/tiny-sd",  # from this repository's root
    revision="",
    licence="of this project",
    download_mb=25,
    memory_gb=0.5,
    needs=NEEDS,
    note="It knows only coloured toys on a floor.",
)


def _tiny_control(kind: str) -> ModelSpec:
    return ModelSpec(
        key=f"tiny-sd-{kind}",
        title=f"tiny-sd's {kind} control",
        source=f"{TINY.source}/controlnet-{kind}",
        revision="",
        licence=TINY.licence,
        download_mb=4,
        memory_gb=0.1,
        needs=NEEDS,
        note=TINY.note,
    )


def _sd15_control(name: str, title: str, revision: str, note: str = "") -> ModelSpec:
    return ModelSpec(
        key=f"sd15-{name.split('_')[-1]}",
        title=f"ControlNet 1.1 {title}",
        source=f"lllyasviel/control_{name}",
        revision=revision,
        licence=OPENRAIL,
        download_mb=723,
        memory_gb=1.5,
        needs=NEEDS,
        note=note or "For Stable Diffusion 1.5 alone.",
        files=("*.json", "*.fp16.safetensors"),
    )


_SD15 = {
    "edges": _sd15_control("v11p_sd15_canny", "canny", "115a470d547982438f70198e353a921996e2e819"),
    "depth": _sd15_control("v11f1p_sd15_depth", "depth", "539f99181d33db39cf1af2e517cd8056785f0a87"),
    "pose": _sd15_control("v11p_sd15_openpose", "pose", "9ae9f970358db89e211b87c915f9535c6686d5ba"),
    # a branch: the commit could not be verified offline
    "scribble": _sd15_control("v11p_sd15_scribble", "scribble", "main"),
    "soft": _sd15_control(
        "v11p_sd15_softedge", "soft edges", "b5bcad0c48e9b12f091968cf5eadbb89402d6bc9"
    ),
    "segmentation": _sd15_control(
        "v11p_sd15_seg", "segmentation", "210682041b41097834006a910b8773f423343900",
        "Expects ADE20K's colours for the things in a picture.",
    ),
    "normals": _sd15_control(
        "v11p_sd15_normalbae", "normals", "cb7296e6587a219068e9d65864e38729cd862aa8"
    ),
    "lineart": _sd15_control(
        "v11p_sd15_lineart", "line drawing", "8a158f547e031c5b8fbca19ead09a74767ff4db0"
    ),
    "lines": _sd15_control(
        "v11p_sd15_mlsd", "straight lines", "f6d481b1e7346b5067de10288329e64cb4d39537"
    ),
    "tile": _sd15_control(
        "v11f1e_sd15_tile", "tile", "3f877705c37010b7221c3d10743307d6b5b6efac",
        "The hub has it as a pickle only, which is never opened: put a .safetensors in a folder.",
    ),
}  # fmt: skip

MODELS: dict[str, ModelSpec] = {
    spec.key: spec
    for spec in (
        TINY,
        ModelSpec(
            key="sd15",
            title="Stable Diffusion 1.5",
            source="stable-diffusion-v1-5/stable-diffusion-v1-5",
            revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            licence=OPENRAIL,
            download_mb=2130,
            memory_gb=6.0,
            needs=NEEDS,
            note="512 px. Minutes a picture without a GPU; hands and writing come out wrong.",
            files=SD_PARTS,
        ),
        *_SD15.values(),
        ModelSpec(
            key="sdxl-union",
            title="SDXL",
            source="stabilityai/stable-diffusion-xl-base-1.0",
            revision="462165984030d82259a11f4367a4eed129e94a7b",
            licence="CreativeML OpenRAIL++-M",
            download_mb=6940,
            memory_gb=10.0,
            needs=(*NEEDS, "gpu"),
            note="1024 px; smaller pictures come out worse.",
            files=_half("unet", "vae", "text_encoder", "text_encoder_2"),
        ),
        ModelSpec(
            key="sdxl-union-control",
            title="ControlNet Union for SDXL",
            source="xinsir/controlnet-union-sdxl-1.0",
            revision="801a4a3fa3d4c936f4feea95b98607bc6726f80c",
            licence="Apache-2.0",
            download_mb=2510,
            memory_gb=2.6,
            needs=(*NEEDS, "gpu"),
            note="One net for six kinds of control; none for tiles.",
            files=("config.json", "diffusion_pytorch_model.safetensors"),
        ),
        ModelSpec(
            key="z-image",
            title="Z-Image Turbo",
            source="Tongyi-MAI/Z-Image-Turbo",
            revision="f332072aa78be7aecdf3ee76d5c247082da564a6",
            licence="Apache-2.0",
            download_mb=32_900,
            memory_gb=22.0,
            needs=(*NEEDS, "gpu"),
            note="Eight steps without guidance; has one schedule of its own.",
            files=_whole("transformer", "text_encoder", "vae"),
        ),
        ModelSpec(
            key="z-image-control",
            title="ControlNet Union for Z-Image",
            source="alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union",
            revision="main",  # a branch: the commit could not be verified offline
            licence="Apache-2.0",
            download_mb=3100,
            memory_gb=3.2,
            needs=(*NEEDS, "gpu"),
            note="One map at a time; a scale of 0.65 to 0.8 works best.",
            files=("Z-Image-Turbo-Fun-Controlnet-Union.safetensors",),
        ),
        ModelSpec(
            key="lcm",
            title="LCM LoRA for Stable Diffusion 1.5",
            source="latent-consistency/lcm-lora-sdv1-5",
            revision="cf2fced511dbe7e26c8d1d397e728fbab875db4b",
            licence="CreativeML OpenRAIL++-M",
            download_mb=135,
            memory_gb=0.3,
            needs=(*NEEDS, "peft"),
            note="Four to eight steps with the LCM scheduler and a guidance of 1 to 2.",
        ),
        ModelSpec(
            key="sd15-inpaint",
            title="Stable Diffusion 1.5 inpainting",
            source="stable-diffusion-v1-5/stable-diffusion-inpainting",
            revision="8a4288a76071f7280aedbdb3253bdb9e9d5d84bb",
            licence=OPENRAIL,
            download_mb=2130,
            memory_gb=6.0,
            needs=NEEDS,
            note="512 px. Minutes a picture without a GPU.",
            files=SD_PARTS,
        ),
        ModelSpec(
            key="kandinsky22-inpaint",
            title="Kandinsky 2.2 inpainting",
            source="kandinsky-community/kandinsky-2-2-decoder-inpaint",
            revision="db790ad5cbcabed886f069ef2710774657621702",
            licence="Apache-2.0",
            download_mb=5280,
            memory_gb=4.0,
            needs=(*NEEDS, "gpu"),
            note="Needs its prior too.",
            files=_whole("unet", "movq"),
        ),
        ModelSpec(
            key="kandinsky22-prior",
            title="Kandinsky 2.2 prior",
            source="kandinsky-community/kandinsky-2-2-prior",
            revision="9fc51ad5732afc5d031724219d22e6c42179c5a8",
            licence="Apache-2.0",
            download_mb=9200,
            memory_gb=8.0,
            needs=(*NEEDS, "gpu"),
            note="From words to the vector of a picture; paints nothing itself.",
            files=_whole("prior", "image_encoder", "text_encoder"),
        ),
        ModelSpec(
            key="flux2-klein",
            title="FLUX.2 klein 4B",
            source="black-forest-labs/FLUX.2-klein-4B",
            revision="e7b7dc27f91deacad38e78976d1f2b499d76a294",
            licence="Apache-2.0",
            download_mb=16_000,
            memory_gb=18.0,
            needs=(*NEEDS, "gpu"),
            note="Four steps without guidance; has one schedule of its own.",
            files=_whole("transformer", "text_encoder", "vae"),
        ),
    )
}

# By base model and kind of core.control.types.KINDS: the ControlNet, or the number by which a union
# of them (UNIONS) knows the kind.
CONTROLS: dict[str, dict[str, ModelSpec | int]] = {
    "tiny-sd": {
        **{kind: _tiny_control(kind) for kind in ("edges", "depth", "segmentation")},
        **dict.fromkeys(("soft", "scribble", "lineart", "lines", "map"), _tiny_control("edges")),
    },
    "sd15": dict(_SD15),
    "sdxl-union": {
        "pose": 0, "depth": 1, "soft": 2, "scribble": 2, "edges": 3, "lineart": 3, "lines": 3,
        "normals": 4, "segmentation": 5,
    },
    "z-image": dict.fromkeys(("edges", "soft", "depth", "pose", "lines"), 0),
}  # fmt: skip

UNIONS = {"sdxl-union": "sdxl-union-control", "z-image": "z-image-control"}  # keys of MODELS
DISTILLED = ("z-image", "flux2-klein")  # one schedule of their own, and no guidance
PRIORS = {"kandinsky22-inpaint": "kandinsky22-prior"}
PICKLED = ("sd15-tile",)  # the hub has no .safetensors of them: put there by hand, or not at all

# alibaba-pai's repository has the weights without the sizes. These are not checked against the file:
# loading fails if they are wrong.
Z_IMAGE_CONTROL = {"control_layers_places": [0, 5, 10, 15, 20, 25], "control_in_dim": 16}
