"""Where weights are found, what is said when they aren't, and what stays in memory."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import models
from core.models import ModelSpec, Pool, locate, missing
from core.types import Unavailable
from tests.hub import COMMIT, hub_cache

SPEC = ModelSpec(
    key="toy", title="Toy", source="org/toy", revision=COMMIT, licence="MIT", download_mb=64,
    memory_gb=0.5, needs=(), note="It can do nothing.",
)  # fmt: skip
OTHER_COMMIT = "f" * 40


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, with an empty hub cache, and any look at the network fails the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"network access: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("SIGHTLINE_OFFLINE", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with real safetensors in it."""
    from safetensors.numpy import save_file

    folder = tmp_path / "saved"
    folder.mkdir()
    save_file({"w": np.arange(6, dtype=np.float32)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    return folder


def refusal(spec: ModelSpec, **kwargs: Any) -> str:
    with pytest.raises(Unavailable) as error:
        locate(spec, **kwargs)
    return str(error.value)


# ---------------------------------------------------------------- the spec


def test_id_size_and_licence() -> None:
    assert SPEC.id == "org/toy@0123456789ab"
    assert SPEC.about == "64 MB, licence MIT"
    big = dataclasses.replace(SPEC, download_mb=6900, revision="", source="/somewhere")
    assert big.about == "6.9 GB, licence MIT" and big.id == "/somewhere"
    assert SPEC.commercial
    for licence in ("non-commercial (SuperPoint weights)", "CC-BY-NC-4.0", "research only"):
        assert not dataclasses.replace(SPEC, licence=licence).commercial
    assert dataclasses.replace(SPEC, licence="CC-BY-4.0").commercial


# ---------------------------------------------------------------- found


def test_found_in_the_hub_cache_by_commit(tmp_path: Path, weights: Path) -> None:
    hub_cache(tmp_path, SPEC.source, SPEC.revision, weights)
    folder = locate(SPEC)
    assert folder.name == COMMIT and (folder / "model.safetensors").is_file()
    assert missing(SPEC) == ""


def test_found_in_the_hub_cache_by_branch(tmp_path: Path, weights: Path) -> None:
    hub_cache(tmp_path, SPEC.source, "main", weights)
    assert locate(dataclasses.replace(SPEC, revision="main")).name == COMMIT


def test_the_id_of_a_branch_names_the_commit_that_lies_here(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = dataclasses.replace(SPEC, revision="main")
    assert spec.id == "org/toy@main"
    hub_cache(tmp_path, SPEC.source, "main", weights)
    assert spec.id == f"org/toy@{COMMIT[:12]}"
    (tmp_path / "shelf" / "org").mkdir(parents=True)
    weights.rename(tmp_path / "shelf" / "org" / "toy")  # goes first, and nobody knows its commit
    monkeypatch.setenv("SIGHTLINE_MODELS", str(tmp_path / "shelf"))
    assert spec.id == "org/toy@main" and SPEC.id == f"org/toy@{COMMIT[:12]}"


def test_found_as_a_folder(weights: Path) -> None:
    spec = dataclasses.replace(SPEC, source=str(weights), revision="")
    assert locate(spec) == weights and missing(spec) == ""


@pytest.mark.parametrize("layout", ["plain", "cache"])
def test_found_under_the_model_folder(
    layout: str, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if layout == "plain":
        shelf = tmp_path / "shelf"
        (shelf / "org").mkdir(parents=True)
        weights.rename(shelf / "org" / "toy")
    else:
        shelf = hub_cache(tmp_path / "shelf", SPEC.source, SPEC.revision, weights)
    assert missing(SPEC)
    monkeypatch.setenv("SIGHTLINE_MODELS", str(shelf))
    assert missing(SPEC) == ""
    assert (locate(SPEC) / "model.safetensors").is_file()


def test_found_without_network_even_when_online(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIGHTLINE_OFFLINE")
    hub_cache(tmp_path, SPEC.source, SPEC.revision, weights)
    assert locate(SPEC).name == COMMIT


# ---------------------------------------------------------------- not found, in plain words


@pytest.mark.parametrize("variable", ["SIGHTLINE_OFFLINE", "HF_HUB_OFFLINE"])
def test_missing_and_offline(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_OFFLINE")
    monkeypatch.setenv(variable, "1")
    text = refusal(SPEC, instead="SIFT works without it")
    for part in ("Toy", "not on this computer", "offline", "64 MB", "MIT", "org/toy",
                 "SIGHTLINE_MODELS"):  # fmt: skip
        assert part in text
    assert text.endswith(" SIFT works without it.")
    assert missing(SPEC, instead="SIFT works without it") == text


def test_another_commit_is_not_this_one(tmp_path: Path, weights: Path) -> None:
    hub_cache(tmp_path, SPEC.source, OTHER_COMMIT, weights)
    assert "not on this computer" in refusal(SPEC)


def test_a_snapshot_without_weights_is_not_there(tmp_path: Path, weights: Path) -> None:
    (weights / "model.safetensors").unlink()
    hub_cache(tmp_path, SPEC.source, SPEC.revision, weights)
    assert "not on this computer" in refusal(SPEC)


def test_missing_folder() -> None:
    spec = dataclasses.replace(SPEC, source="/no/such/folder", revision="")
    assert "the folder /no/such/folder" in refusal(spec) == missing(spec)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "unet/model.ckpt"])
def test_only_pickles(name: str, tmp_path: Path, weights: Path) -> None:
    (weights / "model.safetensors").unlink()
    (weights / name).parent.mkdir(exist_ok=True)
    (weights / name).write_bytes(b"\x80\x04.")
    hub_cache(tmp_path, SPEC.source, SPEC.revision, weights)
    for spec in (SPEC, dataclasses.replace(SPEC, source=str(weights), revision="")):
        text = refusal(spec, instead="SIFT works without it")
        assert Path(name).name in text and "pickle" in text and ".safetensors" in text
        assert text == missing(spec, instead="SIFT works without it")


def test_too_little_memory(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_cache(tmp_path, SPEC.source, SPEC.revision, weights)
    monkeypatch.setattr(models, "memory_gb", lambda: 8.0)
    spec = dataclasses.replace(SPEC, memory_gb=24)
    assert "needs 24 GB of memory; this computer has 8.0 GB" in refusal(spec) == missing(spec)
    assert missing(dataclasses.replace(SPEC, memory_gb=8)) == ""


def test_needs_a_gpu(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_cache(tmp_path, SPEC.source, SPEC.revision, weights)
    spec = dataclasses.replace(SPEC, needs=("gpu",), memory_gb=12)
    monkeypatch.setattr(models, "_gpu_gb", lambda asking_torch: 0.0)
    assert "needs a GPU" in refusal(spec) == missing(spec)
    monkeypatch.setattr(models, "_gpu_gb", lambda asking_torch: 8.0)
    assert "needs 12 GB of memory; this GPU has 8.0 GB" in refusal(spec)
    monkeypatch.setattr(models, "_gpu_gb", lambda asking_torch: 16.0)
    assert missing(spec) == ""


def test_needs_a_package() -> None:
    spec = dataclasses.replace(SPEC, needs=("no_such_package",))
    assert "pip install no_such_package" in refusal(spec) == missing(spec)


def test_gpu_question_agrees_with_torch() -> None:
    from core import runtime

    assert (models._gpu_gb(asking_torch=True) > 0) == (runtime.device() != "cpu")
    assert 0.1 < models.memory_gb() < 1e5


# ---------------------------------------------------------------- fetching


def test_online_the_picker_says_what_will_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_OFFLINE")
    assert "64 MB, licence MIT" in missing(SPEC) and "at first use" in missing(SPEC)


def _hub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[dict]:
    """A hub that answers downloads with `answer`, and the calls it got."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    calls: list[dict] = []

    def snapshot_download(source: str, **kwargs: Any) -> str:
        if kwargs.get("local_files_only"):
            raise LocalEntryNotFoundError("nothing here")
        calls.append({"source": source, **kwargs})
        if isinstance(answer, Exception):
            raise answer
        return answer(**kwargs)

    monkeypatch.delenv("SIGHTLINE_OFFLINE")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return calls


def test_download_asks_for_the_commit_and_no_pickles(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(tqdm_class: Any, **kwargs: Any) -> str:
        files = tqdm_class(total=2, desc="Fetching 2 files")
        files.update(1)
        bar = tqdm_class(total=0, unit="B", unit_scale=True, desc="bytes")
        bar.update(16e6)
        bar.update(32e6)
        bar.close()
        return str(weights)

    told: list[tuple[float, str]] = []
    calls = _hub(monkeypatch, answer)
    assert locate(SPEC, lambda fraction, /, desc="": told.append((fraction, desc))) == weights
    assert calls[0]["source"] == "org/toy" and calls[0]["revision"] == COMMIT
    patterns = calls[0]["allow_patterns"]
    assert "*.safetensors" in patterns and not set(patterns) & set(models.PICKLES)
    assert [fraction for fraction, _ in told] == [0.0, 0.25, 0.75]
    assert all("Toy (64 MB, licence MIT)" in desc for _, desc in told)


def _hub_error(kind: str) -> Exception:
    import httpx2
    from huggingface_hub import errors

    if kind == "drop":
        return httpx2.ReadTimeout("timed out")
    if kind == "disk":
        return OSError(28, "No space left on device")
    if kind == "network":
        return errors.LocalEntryNotFoundError("Got: ConnectError: Name or service not known\nmore")
    response = httpx2.Response(404, request=httpx2.Request("GET", "https://hub/org/toy"))
    return getattr(errors, kind)("gone", response=response)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("RepositoryNotFoundError", "the hub has no repository org/toy"),
        ("RevisionNotFoundError", f"org/toy has no version {COMMIT}"),
        ("GatedRepoError", "accept its terms at huggingface.co/org/toy"),
        ("network", "Name or service not known). Check the network"),
        ("drop", "could not be fetched from org/toy (timed out)"),
        ("disk", "No space left on device"),
    ],
)
def test_failed_download_says_why(kind: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _hub(monkeypatch, _hub_error(kind))
    text = refusal(SPEC, instead="SIFT works without it")
    assert words in text and "64 MB, licence MIT" in text
    assert text.endswith(" SIFT works without it.") and "\n" not in text


def test_repository_with_nothing_we_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _hub(monkeypatch, lambda **kwargs: str(tmp_path))
    assert "holds no .safetensors or .onnx" in refusal(SPEC)


def test_stop_during_a_download_is_not_swallowed(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.runtime import Stopped

    def answer(tqdm_class: Any, **kwargs: Any) -> str:
        tqdm_class(total=0, unit="B").update(1e6)
        return str(weights)

    def stop(fraction: float, /, desc: str = "") -> None:
        if fraction > 0:
            raise Stopped

    _hub(monkeypatch, answer)
    with pytest.raises(Stopped):
        locate(SPEC, stop)


# ---------------------------------------------------------------- light


def test_asking_is_light(tmp_path: Path, weights: Path) -> None:
    """In a fresh process, neither importing nor asking loads torch or transformers."""
    hub_cache(tmp_path, SPEC.source, SPEC.revision, weights)
    code = """
import sys
from core.matching.learned import MODELS
from core.models import missing
from tests.test_models import SPEC
assert all(missing(spec) for spec in MODELS.values())
assert missing(SPEC) == ""
heavy = {"torch", "transformers", "cv2"} & set(sys.modules)
assert not heavy, heavy
"""
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- the pool


@pytest.fixture
def specs(tmp_path: Path, weights: Path) -> list[ModelSpec]:
    """Models a, b, c, d of 1, 2, 3, 20 GB, all on this computer."""
    sizes = {"a": 1, "b": 2, "c": 3, "d": 20}
    return [
        dataclasses.replace(SPEC, key=key, source=str(weights), revision="", memory_gb=gb)
        for key, gb in sizes.items()
    ]


@pytest.fixture(autouse=True)
def much_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "specs" in request.fixturenames:
        monkeypatch.setattr(models, "memory_gb", lambda: 64.0)


def test_pool_keeps_and_evicts_the_least_recently_used(specs: list[ModelSpec]) -> None:
    a, b, c, d = specs
    pool, built = Pool(limit_gb=5), []

    def get(spec: ModelSpec) -> object:
        def build(folder: Path) -> object:
            assert (folder / "model.safetensors").is_file()
            built.append(spec.key)
            return object()

        return pool.get(spec, build)

    first = get(a)
    get(b)
    assert get(a) is first and built == ["a", "b"]
    assert pool.keys == ("b", "a") and pool.used_gb == 3
    get(c)  # 1 + 2 + 3 is over 5: b was used longest ago
    assert pool.keys == ("a", "c") and pool.used_gb == 4
    get(b)  # 4 + 2 is over 5: a goes, and 3 + 2 is just the limit
    assert pool.keys == ("c", "b") and pool.used_gb == 5
    get(d)  # larger than the limit: alone, but it runs
    assert pool.keys == ("d",)
    assert get(a) is not first and built == ["a", "b", "c", "b", "d", "a"]
    pool.clear()
    assert pool.keys == () and pool.used_gb == 0


def test_evicted_models_are_freed_before_the_next_is_built(specs: list[ModelSpec]) -> None:
    import weakref

    class Net:
        pass

    a, _, c, _ = specs
    pool = Pool(limit_gb=3)
    gone = weakref.ref(pool.get(a, lambda folder: Net()))

    def build(folder: Path) -> object:
        assert gone() is None
        return Net()

    pool.get(c, build)


def test_a_failed_build_leaves_no_trace(specs: list[ModelSpec]) -> None:
    def fails(folder: Path) -> object:
        raise RuntimeError("broken file")

    pool = Pool(limit_gb=5)
    with pytest.raises(RuntimeError, match="broken file"):
        pool.get(specs[0], fails)
    assert pool.keys == ()
    assert pool.get(specs[0], lambda folder: 7) == 7


def test_pool_raises_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"offline.* SIFT works\.$"):
        Pool(limit_gb=5).get(SPEC, lambda folder: 1, instead="SIFT works")


def test_threads_share_one_build(specs: list[ModelSpec]) -> None:
    pool, built, got = Pool(limit_gb=5), [], []
    gate = threading.Barrier(8)

    def build(folder: Path) -> object:
        built.append(1)
        time.sleep(0.05)  # time enough for the others to come too
        return object()

    def work(spec: ModelSpec) -> None:
        gate.wait()
        for _ in range(20):
            got.append((spec.key, pool.get(spec, build)))
            assert pool.used_gb <= 5

    threads = [threading.Thread(target=work, args=(specs[i % 2],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 2 and len(got) == 160
    assert len(set(got)) == 2  # one object for each key


def test_a_download_keeps_nobody_from_another_model_and_is_done_once(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core import runtime

    asked, arrives = threading.Event(), threading.Event()
    fetched: list[str] = []

    def snapshot_download(source: str, **kwargs: Any) -> str:
        from huggingface_hub.errors import LocalEntryNotFoundError

        if kwargs.get("local_files_only"):
            if fetched:
                return str(weights)
            raise LocalEntryNotFoundError("nothing here")
        asked.set()
        assert arrives.wait(30)
        fetched.append(source)
        return str(weights)

    monkeypatch.delenv("SIGHTLINE_OFFLINE")
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr(models, "memory_gb", lambda: 64.0)
    here = dataclasses.replace(SPEC, key="here", source=str(weights), revision="")
    pool, built, told = Pool(limit_gb=5), [], []

    def build(folder: Path) -> object:
        built.append(1)
        return object()

    def get(**kwargs: Any) -> object:
        return pool.get(SPEC, build, lambda fraction, /, desc="": told.append(desc))

    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(runtime.run(get))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert asked.wait(10)
    assert runtime.run(pool.get, here, lambda folder: 7) == 7
    until = time.perf_counter() + 10
    while not any("waiting for Toy" in desc for desc in told) and time.perf_counter() < until:
        time.sleep(0.02)
    assert any("waiting for Toy" in desc for desc in told)
    arrives.set()
    for thread in threads:
        thread.join(30)
    assert len(fetched) == len(built) == 1 and len(got) == 2 and got[0] is got[1]


def test_there_is_one_pool() -> None:
    assert models.pool() is models.pool()
    assert models.pool().limit_gb > 0
