"""Cameras and views say what they are, or say what is wrong."""

import numpy as np
import pytest

from core.types import Camera, InputError, RenderFn, Snapshot, View

K = np.array([[50.0, 0, 16], [0, 50, 12], [0, 0, 1]])


def test_camera_and_render_fn_fit_together():
    camera = Camera(K=K.tolist(), c2w=np.eye(4).tolist(), width=32, height=24)  # type: ignore[arg-type]
    assert camera.K.dtype == np.float64 and camera.c2w.shape == (4, 4)

    def render(seen: Camera) -> View:
        size = (seen.height, seen.width)
        return View(np.zeros((*size, 3), np.uint8), np.full(size, np.nan, np.float32))

    function: RenderFn = render
    assert function(camera).rgb.shape == (24, 32, 3)


def test_wrong_cameras_and_views_are_named():
    eye = np.eye(4)
    for wrong in (K[:2], np.full((3, 3), np.nan)):
        with pytest.raises(InputError, match="K"):
            Camera(wrong, eye, 4, 4)
    with pytest.raises(InputError, match="c2w"):
        Camera(K, np.eye(3), 4, 4)
    with pytest.raises(InputError, match="0×4"):
        Camera(K, eye, 0, 4)
    with pytest.raises(InputError, match="RGB uint8"):
        View(np.zeros((2, 2, 3)))
    with pytest.raises(InputError, match="Depth"):
        View(np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2), np.float32))


def test_snapshots_are_frozen():
    with pytest.raises(AttributeError):
        Snapshot(1, 2, 0.0).step = 2  # type: ignore[misc]


def test_a_view_s_depth_has_a_short_name():
    rgb, depth = np.zeros((2, 3, 3), np.uint8), np.ones((2, 3), np.float32)
    assert View(rgb, depth).depth is depth and View(rgb).depth is None
