"""Pretrained models: what they are, where their weights lie, and which stay in memory.

A model is named once, as a `ModelSpec`, with the commit of its weights pinned: a hub repository
can change under a name, a commit can't. A few name a branch, because their commit couldn't be
looked up; recipes then carry the commit that lies on this computer. Weights are read from
safetensors or ONNX only. A pickle (.bin, .pt) is a program that runs when it is opened, and so is a
repository's own Python; neither is ever loaded.

    folder = locate(spec)                          # on this computer, or fetched, or Unavailable
    model = pool().get(spec, lambda folder: Net.from_pretrained(folder, **SAFE))

`missing(spec)` says the same in one sentence before anything starts, without importing torch.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import os
import re
import shutil
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from core import runtime
from core.types import Progress, Unavailable, silent

SAFE: dict[str, Any] = {  # goes into every from_pretrained
    "use_safetensors": True, "trust_remote_code": False, "local_files_only": True,
}  # fmt: skip
WEIGHTS = ("*.safetensors", "*.onnx")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
FETCHED = (*WEIGHTS, "*.json", "*.txt", "*.jinja")
NOT_COMMERCIAL = ("non-commercial", "noncommercial", "-nc", "research")

T = TypeVar("T")


@dataclass(frozen=True)
class ModelSpec:
    """One pretrained model.

    source is a hub id `org/name` or a folder; revision the commit of its weights, or a branch (""
    for a folder); download_mb what is fetched; memory_gb what it takes while it runs, in the GPU's
    memory if it needs one. needs names packages, and 'gpu' for CUDA or Apple's MPS. note is the
    sentence shown next to it: what it can't do. files (patterns) are what is read of a hub
    repository, which often holds the same weights several times.
    """

    key: str
    title: str
    source: str
    revision: str
    licence: str
    download_mb: float
    memory_gb: float
    needs: tuple[str, ...] = ("transformers",)
    note: str = ""
    files: tuple[str, ...] = FETCHED

    @property
    def commercial(self) -> bool:
        """False if the licence's own words rule out commercial use."""
        return not any(word in self.licence.lower() for word in NOT_COMMERCIAL)

    @property
    def id(self) -> str:
        """`source@commit`, as recipes carry it; `source@branch` while nobody knows the commit."""
        return f"{self.source}@{_commit(self)[:12]}" if self.revision else self.source

    @property
    def about(self) -> str:
        """Size and licence in words."""
        mb = self.download_mb
        size = f"{mb / 1000:.1f} GB" if mb >= 1000 else f"{mb:.0f} MB"
        return f"{size}, licence {self.licence}"


def table(specs: Iterable[ModelSpec]) -> str:
    """The models as the README's Markdown table."""
    rows = ["| key | weights | size, licence | to know |", "|---|---|---|---|"]
    rows += [f"| `{s.key}` | `{s.source}` | {s.about} | {s.note} |" for s in specs]
    return "\n".join(rows)


# ---------------------------------------------------------------- where the weights are


def locate(spec: ModelSpec, progress: Progress = silent, *, instead: str = "") -> Path:
    """The folder that holds the model's weights.

    Looked for as a folder of that name, under $SIGHTLINE_MODELS, in the hub's cache, and at
    last fetched, unless offline. Raises Unavailable; its text ends with `instead`, the sentence
    about what works without this model.
    """
    why = _lacking(spec, asking_torch=True)
    if not why:
        try:
            folder = _local(spec)
            if folder is None and spec.revision and not runtime.offline():
                with runtime.aside(), _fetching(spec, progress):
                    folder = _local(spec) or _download(spec, progress)
            if folder is not None:
                return folder
            why = _absent(spec)
        except Unavailable as error:
            raise Unavailable(_sentence(str(error), instead)) from error
    raise Unavailable(_sentence(why, instead))


def missing(spec: ModelSpec, *, instead: str = "") -> str:
    """What stands between this computer and the model, in a sentence; "" if it can run now.

    Fast: imports neither torch nor transformers, fetches nothing.
    """
    why = _lacking(spec, asking_torch=False)
    if not why:
        try:
            why = "" if _local(spec) else _absent(spec)
        except Unavailable as error:
            why = str(error)
    return _sentence(why, instead) if why else ""


def _sentence(why: str, instead: str) -> str:
    return f"{why} {instead.rstrip('.')}." if instead else why


def _absent(spec: ModelSpec) -> str:
    """The weights aren't here: what now?"""
    name, about = spec.title, spec.about
    if not spec.revision:
        return f"{name} ({about}) should lie in the folder {spec.source}, which isn't there."
    if runtime.offline():
        return (
            f"{name} is not on this computer and Sightline is offline. Its weights "
            f"({about}) are {spec.source} on the Hugging Face hub: start Sightline once with "
            f"a network, or copy them to {spec.source} under the folder in SIGHTLINE_MODELS."
        )
    return (
        f"{name} is not on this computer yet. Its weights ({about}) are fetched from "
        f"{spec.source} on the Hugging Face hub at first use."
    )


def _lacking(spec: ModelSpec, *, asking_torch: bool) -> str:
    """Why this computer can't run the model whatever its weights, or ""."""
    who = f"{spec.title} ({spec.about})"
    for need in spec.needs:
        if need != "gpu" and importlib.util.find_spec(need) is None:
            return f"{who} needs the package {need}: pip install {need}."
    if "gpu" in spec.needs:
        have, where = _gpu_gb(asking_torch=asking_torch), "this GPU"
        if have == 0:
            return f"{who} needs a GPU, and this computer has none that PyTorch can use."
    else:
        have, where = memory_gb(), "this computer"
    if spec.memory_gb > have:
        return f"{who} needs {spec.memory_gb:g} GB of memory; {where} has {have:.1f} GB."
    return ""


def memory_gb() -> float:
    """This computer's memory, or the container's share of it; infinite if nothing tells."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return float("inf")
    share = Path("/sys/fs/cgroup/memory.max")
    text = share.read_text().strip() if share.exists() else "max"
    return min(total, int(text) if text.isdigit() else total) / 1e9


def _gpu_gb(*, asking_torch: bool) -> float:
    """The GPU's memory; 0 without a GPU. Infinite where only torch could tell and isn't asked."""
    if "SPACES_ZERO_GPU" in os.environ:  # the GPU is in another process, and large
        return float("inf")
    if not asking_torch and "torch" not in sys.modules:
        apple = sys.platform == "darwin" and os.uname().machine == "arm64"
        nvidia = shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists()
        return float("inf") if apple or nvidia else 0.0
    kind = runtime.device()
    if kind == "cuda":
        import torch

        return torch.cuda.get_device_properties(0).total_memory / 1e9
    return memory_gb() if kind == "mps" else 0.0


def _local(spec: ModelSpec) -> Path | None:
    """The folder with the weights if they are on this computer."""
    folders = [Path(spec.source).expanduser()]
    shelf = os.environ.get("SIGHTLINE_MODELS")
    if shelf:
        folders.append(Path(shelf).expanduser() / spec.source)
    for folder in folders:
        if folder.is_dir() and _checked(spec, folder):
            return folder
    if not spec.revision:
        return None
    for cache in filter(None, (shelf, _hub_cache())):
        folder = _cached(spec, cache)
        if folder is not None and _checked(spec, folder):
            return folder
    return None


def _commit(spec: ModelSpec) -> str:
    """The revision; of a branch what it stands for in the hub's cache here."""
    if re.fullmatch("[0-9a-f]{40}", spec.revision):
        return spec.revision
    try:
        folder = _local(spec)
    except Unavailable:
        folder = None
    if folder is None or folder.parent.name != "snapshots":
        return spec.revision
    return folder.name


def _hub_cache() -> str:
    # Read now, not when huggingface_hub was imported, so that a test or a launcher can set it.
    from huggingface_hub import constants

    return os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE


def _cached(spec: ModelSpec, cache: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            spec.source, revision=spec.revision, cache_dir=cache, local_files_only=True,
            allow_patterns=list(spec.files),
        )  # fmt: skip
    except (LocalEntryNotFoundError, HFValidationError):  # absent, incomplete, or no hub id
        return None
    return Path(found)


def _checked(spec: ModelSpec, folder: Path) -> bool:
    """True if weights we open lie in the folder. Raises Unavailable if only pickles do."""
    if any(next(folder.rglob(pattern), None) for pattern in WEIGHTS):
        return True
    pickles = [f.name for pattern in PICKLES for f in folder.rglob(pattern)]
    if pickles:
        raise Unavailable(
            f"{spec.title} ({spec.about}) lies in {folder} only as {pickles[0]}, a pickle, which "
            "could run code of its own when opened. Put a .safetensors file there."
        )
    return False


_fetches: dict[str, threading.Lock] = {}  # by source: who fetches it


@contextmanager
def _fetching(spec: ModelSpec, progress: Progress) -> Iterator[None]:
    """One fetches a model, others wait for that: in a loop, so that they can be stopped."""
    lock = _fetches.setdefault(spec.source, threading.Lock())
    while not lock.acquire(timeout=0.25):
        progress(0.0, desc=f"waiting for {spec.title}, which is being fetched")
    try:
        yield
    finally:
        lock.release()


def _download(spec: ModelSpec, progress: Progress) -> Path:
    """Fetch the pinned weights into the hub's cache, and say plainly why if that fails."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage]  # of whichever library it uses
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from tqdm.auto import tqdm

    desc = f"fetching {spec.title} ({spec.about})"

    class Bar(tqdm):
        """The hub reports to tqdm; this one prints nothing and tells our progress."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.counts_bytes, self.seen = kwargs.get("unit") == "B", 0.0
            super().__init__(*args, **(kwargs | {"disable": True}))

        def update(self, n: float | None = 1) -> None:
            self.seen += n or 0
            if self.counts_bytes:
                progress(min(self.seen / (spec.download_mb * 1e6), 1.0), desc=desc)

    progress(0.0, desc=desc)
    who = f"{spec.title} ({spec.about})"
    try:
        found = snapshot_download(
            spec.source, revision=spec.revision, cache_dir=_hub_cache(),
            allow_patterns=list(spec.files), tqdm_class=Bar,
        )  # fmt: skip
        if _checked(spec, Path(found)):
            return Path(found)
        why = f"{who}: {spec.source} holds no .safetensors or .onnx weights."
    except GatedRepoError:
        why = (
            f"{who} is given out after a sign-in: accept its terms at "
            f"huggingface.co/{spec.source}, run `hf auth login`, and try again."
        )
    except RepositoryNotFoundError:
        why = f"{who}: the hub has no repository {spec.source}."
    except RevisionNotFoundError:
        why = f"{who}: {spec.source} has no version {spec.revision}."
    except (HTTPError, OSError) as error:  # no network, the hub is down, the disk is full
        first = (str(error).splitlines() or [type(error).__name__])[0]
        why = (
            f"{who} is not on this computer and could not be fetched from {spec.source} ({first}). "
            "Check the network and the free space, and try again."
        )
    raise Unavailable(why)


# ---------------------------------------------------------------- which stay in memory


class Pool:
    """Built models, at most `limit_gb` of them together; the least recently used goes first."""

    def __init__(self, limit_gb: float) -> None:
        self.limit_gb = limit_gb
        self._models: OrderedDict[ModelSpec, Any] = OrderedDict()  # oldest use first
        self._lock = threading.RLock()

    def get(
        self,
        spec: ModelSpec,
        build: Callable[[Path], T],
        progress: Progress = silent,
        *,
        instead: str = "",
    ) -> T:
        """The model, built from its folder by `build` unless it is here. Raises Unavailable.

        Room is made before building. One thread builds, others wait: the same model is never
        built twice. A spec is always built the same way. Nobody waits for another's download.
        """
        with self._lock:
            if spec in self._models:
                self._models.move_to_end(spec)
                return self._models[spec]
        folder = locate(spec, progress, instead=instead)
        with self._lock:
            if spec not in self._models:
                while self._models and self.used_gb + spec.memory_gb > self.limit_gb:
                    self._models.popitem(last=False)
                    _release()
                with enough_memory(spec.title, instead):
                    self._models[spec] = build(folder)
            self._models.move_to_end(spec)
            return self._models[spec]

    @property
    def used_gb(self) -> float:
        with self._lock:
            return sum(spec.memory_gb for spec in self._models)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the models held, least recently used first."""
        with self._lock:
            return tuple(spec.key for spec in self._models)

    def clear(self) -> None:
        with self._lock:
            self._models.clear()
            _release()


@contextmanager
def enough_memory(title: str, instead: str = "") -> Iterator[None]:
    """Work of a model that the GPU's memory may not suffice for: then Unavailable, with what to do."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's; it isn't imported for this
            raise
        _release()
        why = f"{title} ran out of GPU memory. Close what else uses the GPU, or choose a smaller model."
        raise Unavailable(_sentence(why, instead)) from error


def _release() -> None:
    """Give what dropped models held back to the GPU."""
    gc.collect()
    if "torch" in sys.modules and runtime.device() == "cuda":
        import torch

        torch.cuda.empty_cache()


@functools.cache
def pool() -> Pool:
    """The pool of this process: four fifths of the GPU's memory, half of a computer's."""
    gpu_gb = _gpu_gb(asking_torch=True)
    return Pool(0.8 * gpu_gb if runtime.device() == "cuda" else 0.5 * memory_gb())
