"""The shell: widgets from settings and back, errors as sentences, contrast, the command line."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import gradio as gr
import pytest
from gradio.context import Context

import app
from core import runtime
from core.matching.types import GeometrySettings, MatchSettings
from core.recipe import Recipe
from core.types import Compared, InputError, Unavailable
from demos import markup, theme, ui


def test_controls_give_the_defaults_back():
    with gr.Blocks():
        made = ui.controls(MatchSettings, GeometrySettings)
    values = [widget.value for widget in made.inputs]
    assert made.read(values) == (MatchSettings(), GeometrySettings())
    assert {type(w) for w in made.inputs} >= {gr.Slider, gr.Checkbox, gr.Dropdown}
    for name, f in made.fields.items():
        assert made.widgets[name].info == f.metadata["help"]


def test_controls_refuse_what_settings_refuse():
    with gr.Blocks():
        made = ui.controls(MatchSettings)
    values = dict(zip(made.fields, (w.value for w in made.inputs), strict=True))
    with pytest.raises(InputError, match="Ratio"):
        made.read(list((values | {"ratio": 9}).values()))
    with pytest.raises(InputError, match="Seed"):
        made.read(list((values | {"seed": None}).values()))


def wired(wire: Callable[[], Any]) -> Callable[..., Any]:
    """The handler that `wire` registers first, of those in Python: what a click runs."""
    page = Context.root_block
    assert page is not None
    before = set(page.fns)
    wire()
    return next(fn.fn for k, fn in page.fns.items() if k not in before and fn.fn is not None)


def handler_of(job: ui.Job, work, show=lambda value: {}) -> Callable[..., Any]:
    return wired(lambda: job.wire(work, show, [], []))


@pytest.mark.parametrize(
    "error,words",
    [
        (InputError("The file is empty. Choose another."), "The file is empty. Choose another."),
        (Unavailable("The weights are missing. SIFT works."), "SIFT works."),
        (ImportError("libGL.so.1: cannot open shared object file"), "packages.txt"),
        (ModuleNotFoundError("No module named 'open3d'"), "pip install"),
        (KeyError("x"), "Sightline has a bug here"),
    ],
)
def test_every_error_becomes_a_sentence_and_nothing_is_lost(error, words):
    def work():
        raise error
        yield

    with gr.Blocks():
        job = ui.Job("Go", "go")
        updates = list(handler_of(job, work)())
    assert len(updates) == 1 and list(updates[0]) == [job.status], "only the status line changes"
    assert words in updates[0][job.status] and "Traceback" not in updates[0][job.status]


def test_a_job_shows_progress_with_the_time_left_and_closes_its_work():
    closed = []

    def work():
        try:
            yield runtime.Tick(0.25, "matching", 3.0, 9.0)
            yield runtime.Part(1)
            yield runtime.Done(2)
        finally:
            closed.append(True)

    with gr.Blocks():
        job, out = ui.Job("Go", "go"), gr.Number()
        handler = handler_of(job, work, lambda value: {out: value})
        first, *rest = handler()
    assert "25%" in first[job.status] and "about 9 s left" in first[job.status]
    assert [u[out] for u in rest] == [1, 2]
    assert closed
    with gr.Blocks():
        job = ui.Job("Go", "go")
        running = handler_of(job, work)()
        next(running)
        running.close()  # what Gradio does on Stop
    assert len(closed) == 2


@pytest.mark.parametrize(
    "events,said",
    [
        ([runtime.Part(1), runtime.Part(2), runtime.Done(2)], ["", None, ""]),
        (
            [runtime.Tick(0.5, "on", 1.0, None), runtime.Part(1), runtime.Done(None)],
            ["on", None, ""],
        ),
        ([runtime.Done(1)], [""]),
        ([], [""]),
    ],
)
def test_whatever_a_job_tells_first_ends_the_waiting(events, said):
    with gr.Blocks():
        job, out = ui.Job("Go", "go"), gr.Number()
        updates = list(handler_of(job, lambda: iter_of(events), lambda value: {out: value})())
    assert len(updates) == len(said)
    for update, words in zip(updates, said, strict=True):
        assert (words is None) == (job.status not in update)
        assert not words or words in update[job.status]


def iter_of(events):
    yield from events


def test_waiting_is_told_before_the_job_and_taken_back_if_it_fails():
    """Gradio runs the listeners of one click one after the other, in this order."""
    with gr.Blocks() as page:
        job = ui.Job("Go", "go")
        job.wire(lambda: iter(()), lambda value: {}, [], [], api_name="go")
    clicked = [fn for fn in page.fns.values() if (job.go._id, "click") in fn.targets]
    assert [fn.fn is None for fn in clicked] == [True, False]
    assert "Waiting for other work to end" in str(clicked[0].js)
    (failed,) = [fn for fn in page.fns.values() if fn.trigger_only_on_failure]
    assert failed.trigger_after == clicked[1]._id and failed.outputs == [job.status]


def test_compare_wants_two_to_four():
    with gr.Blocks():
        grid = ui.Compare("x", {k: k for k in "abcde"}, ("a", "b"), {"s": ("S", "A score.", "")})
        handler = wired(lambda: grid.wire(lambda methods: iter(()), []))
        for chosen in (["a"], list("abcde")):
            (update,) = handler(chosen)
            assert "Choose two to four" in update[grid.job.status]
        more = ui.Compare("y", {k: k for k in "abcdef"}, ("a", "b"), {}, most=6)
        assert more.methods.info == "Two to six, on the same input."
        handler = wired(lambda: more.wire(lambda methods: iter(()), []))
        (update,) = handler(["a"])
        assert "Choose two to six" in update[more.job.status]


def test_tables_escape_and_say_unknown():
    shown = markup.compare_table(
        [Compared(1, 1, 0, "<b>", None, {"s": float("nan")})],  # type: ignore[arg-type]
        {"s": ("Score", "A score.", "px")},
    )
    assert "&lt;b&gt;" in shown and "–" in shown
    assert markup.number(float("inf")) == "∞" and markup.number(0.12345) == "0.123"
    assert markup.number(1234.5, "px") == "1,234 px"


def contrast(a: str, b: str) -> float:
    """WCAG 2.2 contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_aa_in_light_and_dark():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    t = theme
    pairs = [
        (text, ground)
        for text in (t.INK, t.DIM, t.ACCENT, t.ALARM)
        for ground in (t.PAPER, t.PANEL)
    ]
    pairs += [
        (text, ground)
        for text in (t.NIGHT_INK, t.NIGHT_DIM, t.NIGHT_ACCENT, t.NIGHT_ALARM)
        for ground in (t.NIGHT, t.NIGHT_PANEL)
    ]
    pairs += [("#ffffff", t.ACCENT), ("#ffffff", t.ACCENT_DARK), (t.NIGHT, t.NIGHT_ACCENT)]
    for text, ground in pairs:
        assert contrast(text, ground) >= 4.5, (text, ground)


def test_a_folder_of_models_may_begin_with_a_tilde_and_must_be_there(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    assert app.options(["--models=~/weights"]).models == str(tmp_path / "weights")
    with pytest.raises(SystemExit):
        app.options(["--models=~/wieghts"])
    assert f"there is no folder {tmp_path}/wieghts" in capsys.readouterr().err
    monkeypatch.setenv("SIGHTLINE_MODELS", "~/weights")
    assert app.options([]).models == str(tmp_path / "weights")
    monkeypatch.delenv("SIGHTLINE_MODELS")
    assert app.options([]).models is None


def test_old_folders_go_when_a_new_one_is_made(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    old, young = ui.folder(), ui.folder()
    other = tmp_path / "of-gradio"
    other.mkdir()
    (old / "packed.bin").write_bytes(b"x")
    for path in (old, other):
        os.utime(path, (0, 0))
    new = ui.folder()
    assert sorted(tmp_path.iterdir()) == sorted([young, new, other])


def test_a_new_result_takes_the_last_ones_files_from_take_away():
    with gr.Blocks():
        take = ui.TakeAway("matching")
    told = take.show(Recipe("matching", "", ()))
    assert set(told) == set(take.outputs) and told[take.link] == "?tab=matching"
    assert told[take.files] == ui.no_files() and told[take.status] == ""
    assert ui.no_files() == {"__type__": "update", "value": None, "visible": False}


def test_command_line(monkeypatch, capsys):
    monkeypatch.delenv("SPACE_ID", raising=False)
    chosen = app.options(["--offline", "--port", "1234", "--tabs", "matching"])
    assert chosen.host == "127.0.0.1" and chosen.port == 1234 and chosen.offline
    assert not chosen.public
    with pytest.raises(SystemExit):
        app.options(["--cluster", "ray://somewhere:10001"])
    assert "isn't built yet" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        app.options(["--tabs", "nonsense"])
    monkeypatch.setenv("SPACE_ID", "someone/sightline")
    chosen = app.options([])
    assert chosen.public and chosen.host == "0.0.0.0"


@pytest.mark.parametrize(
    ("arguments", "open_to_others"),
    [([], False), (["--public"], True), (["--host", "0.0.0.0"], True)],
)
def test_a_page_that_others_can_open_says_so_to_core(monkeypatch, arguments, open_to_others):
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    monkeypatch.setattr(app.os, "environ", os.environ.copy())
    app.os.environ.pop("SIGHTLINE_PUBLIC", None)
    app.configure(app.options(arguments))
    assert (app.os.environ.get("SIGHTLINE_PUBLIC") == "1") == open_to_others


def test_frozen_settings_are_hashable_and_replaceable():
    changed = dataclasses.replace(MatchSettings(), ratio=0.7)
    assert hash(changed) != hash(MatchSettings())


def test_uploads_are_sorted_by_name_and_number():
    given = ["/a/b10.png", "/b/b9.png", "/d/b1²3.png", "/c/a2.png"]
    assert ui.by_name(given) == ["/c/a2.png", "/d/b1²3.png", "/b/b9.png", "/a/b10.png"]


def test_a_guard_empties_the_status_unless_it_is_not_to():
    def work() -> dict:
        return {"picture": 1}

    def fails() -> dict:
        raise InputError("No.")

    assert ui.guard(work, "status")() == {"status": "", "picture": 1}
    assert ui.guard(work, "status", clears=False)() == {"picture": 1}
    assert "No." in ui.guard(fails, "status", clears=False)()["status"]
