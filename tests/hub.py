"""A hub cache for tests: small models in the place and the layout that downloads have.

Code under test then finds them by repository id and pinned commit, as it finds real weights.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def hub_cache(tmp_path: Path, repo_id: str, revision: str, folder: Path) -> Path:
    """Put a folder's files into a hub cache as `repo_id` at `revision`; returns the cache.

    revision is a commit (40 hex digits) or a branch, which then points to COMMIT. Point
    HF_HUB_CACHE at what this returns; calls with the same tmp_path fill the same cache.
    """
    cache = tmp_path / "hub"
    repo = cache / f"models--{repo_id.replace('/', '--')}"
    is_commit = len(revision) == 40 and set(revision) <= set("0123456789abcdef")
    commit = revision if is_commit else COMMIT
    refs, blobs, snapshot = repo / "refs", repo / "blobs", repo / "snapshots" / commit
    for place in (refs, blobs, snapshot):
        place.mkdir(parents=True, exist_ok=True)
    (refs / ("main" if is_commit else revision)).write_text(commit)
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        blob = blobs / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, blob)
        link = snapshot / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return cache
