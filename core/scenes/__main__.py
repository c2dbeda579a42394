"""`python -m core.scenes --gallery out/`: a contact sheet of every scene and every channel."""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    from core.scenes.gallery import write_gallery
    from core.scenes.library import NAMES, scene

    parser = argparse.ArgumentParser(prog="python -m core.scenes", description=__doc__)
    parser.add_argument("--gallery", type=Path, required=True, help="folder for the sheets")
    parser.add_argument("--scene", choices=NAMES, action="append", help="only this one; repeatable")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 360), metavar=("W", "H"))
    given = parser.parse_args()
    scenes = [scene(name) for name in given.scene or NAMES]
    for path in write_gallery(scenes, given.gallery, tuple(given.size)):
        print(path)


if __name__ == "__main__":
    main()
