"""What every tab shares: controls from settings, running and stopping, and the five panels.

A tab is built from these pieces around one core function. Errors that a person can mend reach
them as the sentence that core wrote; anything else is a bug, is printed on the server, and says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import html
import math
import re
import shutil
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context

from core import images
from core.recipe import Recipe, from_link
from core.runtime import Done, Part, Tick
from core.types import Compared, InputError, Settings, Unavailable
from demos import markup

ROOT = Path(__file__).parents[1]
LATEX = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]
COMPARED_PX = 1200  # the longer side of a picture in Compare
NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven")
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
AT_ONCE = 8  # jobs that are begun, of all pages: they take turns, as core.runtime lets one compute


@dataclass(frozen=True)
class Demo:
    """One tab. build(run=core_function) draws it inside the current Blocks; a test hands in a
    fake. After that, everything the app needs is wired."""

    slug: str
    title: str
    blurb: str
    build: Callable[..., None]


def broken(slug: str, error: Exception) -> Demo:
    """A tab that could not be loaded: it shows why, and the rest of the app lives."""

    def build(run: Any = None) -> None:
        gr.HTML(said(f"This tab could not be loaded: {_reason(error)} The other tabs work."))

    return Demo(slug, slug.capitalize(), "", build)


# ---------------------------------------------------------------- controls


class Controls:
    """Widgets for the fields of settings classes, and the way back from their values."""

    def __init__(self, *kinds: type[Settings]):
        self.kinds = kinds
        self.fields = {f.name: f for kind in kinds for f in dataclasses.fields(kind)}
        self.widgets: dict[str, Any] = {}

    def draw(self, *names: str) -> None:
        """Draw these fields, here."""
        for name in names:
            self.widgets[name] = _widget(self.fields[name])

    def draw_rest(self) -> None:
        """Draw what isn't drawn yet: everyday fields first, the advanced ones under More."""
        rest = [f for name, f in self.fields.items() if name not in self.widgets]
        self.draw(*(f.name for f in rest if not f.metadata["advanced"]))
        more = [f.name for f in rest if f.metadata["advanced"]]
        if more:
            with gr.Accordion("More", open=False):
                self.draw(*more)

    @property
    def inputs(self) -> list[Any]:
        """The widgets in the fields' order: what a handler takes."""
        return [self.widgets[name] for name in self.fields]

    def read(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Settings of each class from the widgets' values. Raises InputError."""
        by_name = dict(zip(self.fields, values, strict=True))
        return tuple(
            kind(**{f.name: by_name[f.name] for f in dataclasses.fields(kind)})
            for kind in self.kinds
        )

    def restore_from(self, slug: str, *, press: bool = True) -> None:
        """When the page opens by a link to this tab, set the widgets from it; then run the tab,
        unless `press` is off, as for controls of a panel.

        A link that can't be read leaves the defaults and says why. Without a link the tab in
        view runs.
        """

        def restore(request: gr.Request):
            query = dict(request.query_params)
            if query.get("tab", slug) != slug:
                return [gr.skip() for _ in self.fields]
            try:
                made = from_link(query, self.kinds)
            except InputError as error:
                gr.Warning(str(error))
                return [gr.skip() for _ in self.fields]
            values = {k: v for s in made for k, v in vars(s).items()}
            return [values[name] for name in self.fields]

        restored = _page().load(restore, None, self.inputs, **QUIET)
        if press:
            restored.then(None, None, None, js=FIRST_RUN % (slug, "true"), **QUIET)


# A tab's run is pressed once by itself: when the page opens on the tab, or when the tab is first
# chosen. A page that opens by a link presses after the link's settings have arrived.
FIRST_RUN = """() => {
  const [slug, opening] = ['%s', %s];
  const ran = (window.sightlineRan ??= new Set());
  if (opening) window.sightlineOpened = true;
  else if (!window.sightlineOpened) return;  // Gradio selects a tab while it draws the page
  const wanted = new URL(location).searchParams.get('tab');
  const press = (tries) => {
    const button = document.querySelector(`#${slug}-now`);
    if (button?.checkVisibility()) { ran.add(slug); button.click(); }
    else if (tries) setTimeout(press, 100, tries - 1);
  };
  if (opening ? wanted === slug || !wanted && document.querySelector(`#${slug}-now`)?.checkVisibility()
              : !ran.has(slug) && wanted !== slug) press(30);
}"""


def open_tab_of_link(rail: gr.Tabs, tabs: Mapping[str, gr.Tab]) -> None:
    """When the page opens by a link, select the tab it names; run a tab when it is first seen."""

    def select(request: gr.Request):
        wanted = request.query_params.get("tab")
        return gr.Tabs(selected=wanted) if wanted in tabs else gr.skip()

    _page().load(select, None, rail, **QUIET)
    for slug, tab in tabs.items():
        tab.select(None, None, None, js=FIRST_RUN % (slug, "false"), **QUIET)


def on_open(call: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Call it when the page opens."""
    _page().load(call, list(inputs), list(outputs), **QUIET)


def on_close(call: Callable[[gr.Request], None]) -> None:
    """Call it when a page is closed: the time to free what the server keeps for it."""
    _page().unload(call)


def _page() -> gr.Blocks:
    page = Context.root_block
    assert isinstance(page, gr.Blocks), "a tab is drawn inside gr.Blocks"
    return page


def controls(*kinds: type[Settings]) -> Controls:
    """Widgets for all fields of these settings classes, drawn here."""
    made = Controls(*kinds)
    made.draw_rest()
    return made


def _widget(f: dataclasses.Field) -> Any:
    about, default = f.metadata, f.default
    if not about["shown"]:
        return gr.State(default)
    unit = f" ({about['unit']})" if about["unit"] else ""
    common = {"label": about["label"] + unit, "info": about["help"], "value": default}
    low, high, step = about["minimum"], about["maximum"], about["step"]
    if about["choices"] is not None:
        titles = [(title, key) for key, title in about["choices"].items()]
        return (gr.Radio if len(titles) <= 3 else gr.Dropdown)(titles, **common)
    if isinstance(default, bool):
        return gr.Checkbox(**common)
    if isinstance(default, str):
        return gr.Textbox(**common)
    if low is not None and high is not None and high - low < 1e4:
        return gr.Slider(low, high, step=step, **common)
    return gr.Number(minimum=low, maximum=high, step=step or 1, **common)


# ---------------------------------------------------------------- running


def text(**kwargs: Any) -> gr.HTML:
    """A place for words, tables and pictures that this module's functions write as HTML."""
    return gr.HTML("", padding=False, apply_default_css=False, **kwargs)


ANEW = '<div class="note">There is a new result. Open this view again to see it.</div>'


def said(text: str) -> str:
    """A sentence for the status line, announced to screen readers."""
    return f'<div class="said" role="alert">{html.escape(text)}</div>'


def _reason(error: BaseException) -> str:
    """The sentence for an error: as written, or what to install, or that it is a bug."""
    if isinstance(error, InputError | Unavailable):
        return str(error)
    if isinstance(error, ImportError) and ".so" in str(error):
        library = str(error).partition(":")[0]
        return (
            f"A system library is missing: {library}. On Debian or Ubuntu install what "
            "packages.txt lists, with apt-get install, and start again."
        )
    if isinstance(error, ImportError):
        return f"{error}. Install it with: pip install -r requirements.txt"
    return (
        f"Sightline has a bug here ({type(error).__name__}: {error}). Your input is kept; try "
        "other settings. The details are in the server's log."
    )


def _told(tick: Tick) -> str:
    left = ""
    if tick.seconds_left is not None and tick.seconds > 1:
        left = f" · about {max(1, math.ceil(tick.seconds_left))} s left"
    done = f" · {tick.fraction:.0%}" if tick.fraction else ""
    text = f"{tick.desc or 'working'}{done} · {tick.seconds:.0f} s{left}"
    width = f"{100 * tick.fraction:.0f}%"
    return f'<div>{html.escape(text)}</div><div class="bar"><i style="width:{width}"></i></div>'


def press(name: str) -> str:
    """JavaScript that presses the button of the Job of this name; once, if it is asked to several
    times in short order, as by Gradio's dropdown, which tells of one choice twice."""
    return f"""() => {{
        const button = document.querySelector('#{name}-now');
        if (!button) return;
        const push = () => {{
            if (button.disabled) button.soon = setTimeout(push, 100);
            else button.click();
        }};
        clearTimeout(button.soon);
        button.soon = setTimeout(push, 100);
    }}"""


# Gradio loses a press that comes after Stop and before the server has ended the work. So the button
# can't be pressed in between; should the end not be told, it can after ten seconds.


def _begins(name: str) -> str:
    return f"""() => {{
        document.querySelector('#{name}-now').busy = true;
        return '<div class="waits">Waiting for other work to end…</div>';  // seen after a second
    }}"""


def _stops(name: str) -> str:
    return f"""() => {{
        const button = document.querySelector('#{name}-now');
        button.disabled = button.busy === true;
        clearTimeout(button.late);
        button.late = setTimeout(() => {{ button.disabled = false; }}, 10000);
    }}"""


def _ends(name: str) -> str:
    return f"""(line) => {{
        const button = document.querySelector('#{name}-now');
        if (button) button.busy = button.disabled = false;
        return line.includes('class="waits"') ? '' : line;  // in vain: Gradio's queue was full
    }}"""


class Job:
    """A button that runs, one that stops, and a line that says how it goes.

    name is unique on the page: the slug for the tab's own run, else the slug and a word.
    """

    def __init__(self, label: str, name: str):
        with gr.Row(elem_classes="job"):
            self.go = gr.Button(
                label, variant="primary", scale=3, min_width=110, elem_id=f"{name}-now"
            )
            self.stop = gr.Button("Stop", scale=1, min_width=70)
        self.status = text(elem_classes="status")
        self.name = name

    def wire(
        self,
        work: Callable[..., Iterator[Tick | Part | Done]],
        show: Callable[..., dict],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        *,
        also: Sequence[Any] = (),
        api_name: str | None = None,
        keyed: bool = False,
    ) -> Any:
        """On a click (any trigger in `also` presses the button): work(*values) is followed, and
        each snapshot and the result go through show(value) → {widget: update}. keyed: work takes
        the request first, for what the server keeps by the page's session. Returns the event."""

        def handler(*values: Any):
            busy = waits = True
            try:
                with contextlib.closing(work(*values)) as events:  # type: ignore[type-var]
                    for event in events:
                        if isinstance(event, Tick):
                            yield {self.status: _told(event)}
                        elif isinstance(event, Part):
                            yield {**({self.status: ""} if waits else {}), **show(event.value)}
                        elif event.value is not None:
                            busy = False
                            yield {self.status: "", **show(event.value)}
                        waits = False
                if busy:  # the work told of parts alone, and its last tick still stands there
                    yield {self.status: ""}
            except Exception as error:
                if not isinstance(error, InputError | Unavailable):
                    traceback.print_exc()
                yield {self.status: said(_reason(error))}

        def keyed_handler(request: gr.Request, *values: Any):
            yield from handler(request, *values)

        # goes before the next one
        gr.on(self.go.click, None, None, self.status, js=_begins(self.name), **QUIET)
        event = gr.on(
            self.go.click,
            keyed_handler if keyed else handler,
            list(inputs),
            [self.status, *outputs],
            concurrency_id="work",
            concurrency_limit=AT_ONCE,
            show_progress="hidden",
            trigger_mode="always_last",
            api_name=api_name,
            api_visibility="public" if api_name else "private",
        )
        for ended in (event.success, event.failure):  # stopped counts as failed
            ended(None, self.status, self.status, js=_ends(self.name), **QUIET)
        if also:
            gr.on(list(also), None, None, None, js=press(self.name), **QUIET)
        stopped = self.stop.click(
            None, None, None, cancels=[event], queue=False, js=_stops(self.name), **QUIET
        )
        stopped.then(  # only then, or a late tick would overwrite it
            lambda: "Stopped. What was there before is kept.", None, self.status,
            queue=False, **QUIET,
        )  # fmt: skip
        return event


def guard(call: Callable[..., dict], status: Any, clears: bool = True) -> Callable[..., dict]:
    """A handler for short work whose errors become a sentence in `status`. When a page opens the
    first run may have spoken already: then it `clears` nothing."""

    @functools.wraps(call)  # Gradio looks for an EventData parameter in the signature
    def handler(*values: Any, **named: Any) -> dict:
        try:
            return {**({status: ""} if clears else {}), **call(*values, **named)}
        except Exception as error:
            if not isinstance(error, InputError | Unavailable):
                traceback.print_exc()
            return {status: said(_reason(error))}

    return handler


# ---------------------------------------------------------------- files for the page

FOLDER, KEPT_S = "sightline-", 12 * 3600  # a page may stay open for a working day


def by_name(files: Sequence[str]) -> list[str]:
    """Uploads in the order of their names, numbers in them as numbers: each lies in a folder of its
    own, whose name says nothing."""

    def parts(file: str) -> list[Any]:
        return [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", Path(file).name)]

    return sorted(files, key=parts)


def folder() -> Path:
    """A new folder that Gradio serves from. Those that are older than KEPT_S go now: Gradio itself
    clears only what its own widgets wrote."""
    from gradio.utils import get_upload_folder

    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    for old in root.glob(f"{FOLDER}*"):
        with contextlib.suppress(FileNotFoundError):  # somebody else removed it
            if time.time() - old.stat().st_mtime > KEPT_S:
                shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=FOLDER, dir=root))


def no_files() -> dict:
    """The update that empties a list of files and hides it."""
    return gr.update(value=None, visible=False)


def address(path: Path) -> str:
    """Where the browser finds a file of such a folder; widgets add the root path."""
    return f"/gradio_api/file={path.as_posix()}"


# ---------------------------------------------------------------- panels


def panel(name: str) -> gr.Accordion:
    """One of the panels under the result: Look inside, Compare, Score, Take away, Lesson."""
    return gr.Accordion(name, open=False, elem_classes="panel")


def lesson(slug: str) -> None:
    """The Lesson panel: assets/lessons/<slug>.md with its formulas."""
    text = (ROOT / "assets" / "lessons" / f"{slug}.md").read_text(encoding="utf-8")
    with panel("Lesson"):
        gr.Markdown(text, latex_delimiters=LATEX, elem_classes="lesson")


class Compare:
    """Part of the Compare panel: methods on the same input, in a grid with scores."""

    def __init__(
        self, slug: str, methods: Mapping[str, str], chosen: Sequence[str], meaning: markup.Help,
        most: int = 4,
    ):  # fmt: skip
        self.range = f"two to {NUMBERS[most]}"
        self.most = most
        self.methods = gr.CheckboxGroup(
            [(title, key) for key, title in methods.items()],
            value=list(chosen),
            label="Methods",
            info=f"{self.range.capitalize()}, on the same input.",
        )
        self.job = Job("Compare", f"{slug}-compare")
        self.answers = text()
        self.scores = text()
        self.meaning = meaning

    def wire(
        self,
        work: Callable[..., Iterator[Tick | Part | Done]],
        inputs: Sequence[Any],
        *,
        keyed: bool = False,
    ) -> Any:
        """work(methods, *values) streams `Compared` snapshots; keyed: it takes the request first."""

        def start(*values: Any):
            methods = values[keyed]
            if not 2 <= len(methods) <= self.most:
                raise InputError(f"{len(methods)} methods are chosen. Choose {self.range}.")
            found: list[Compared] = []
            for event in work(*values):
                if isinstance(event, Part):
                    found.append(event.value)
                    yield Part(tuple(found))
                else:
                    yield Done(tuple(found)) if isinstance(event, Done) else event

        def show(found: tuple[Compared, ...]) -> dict:
            return {
                self.answers: markup.pictures(
                    (images.fit(c.picture, COMPARED_PX)[0], c.name) for c in found
                ),
                self.scores: markup.compare_table(found, self.meaning),
            }

        outputs = [self.answers, self.scores]
        return self.job.wire(start, show, [self.methods, *inputs], outputs, keyed=keyed)


COPY = """async (link) => {
  const told = (words) => `<div role="status">${words}</div>`;
  if (!link) return told('There is no result yet. Run the tab first.');
  try {
    await navigator.clipboard.writeText(link);
  } catch {  // a page that came over plain http from another computer has no clipboard
    const box = document.body.appendChild(document.createElement('textarea'));
    box.style.position = 'fixed';
    box.value = link;
    box.focus();
    box.select();
    const copied = document.execCommand('copy');
    box.remove();
    if (!copied) return told('The browser did not copy it. Select the link and copy it by hand.');
  }
  return told('The link is copied.');
}"""


class TakeAway:
    """The Take away panel: link, code, and every file in one press."""

    def __init__(self, slug: str):
        self.slug = slug
        with panel("Take away"):
            gr.Markdown(
                "The figure as PNG, SVG and PDF with its caption, the data, and the Python that "
                "computes it again. Drop the PNG on this page, and the settings come back."
            )
            self.write = gr.Button("Write the files", elem_classes="job")
            self.status = text(elem_classes="status")
            self.files = gr.File(
                label="Files", file_count="multiple", interactive=False, visible=False,
                elem_classes="files",
            )  # fmt: skip
            self.link = gr.Textbox(
                label="Link that restores these settings", buttons=[], interactive=False
            )
            gr.Button("Copy the link", size="sm", elem_classes="job").click(
                None, self.link, self.status, js=COPY, **QUIET
            )
            self.code = gr.Code(label="Python that computes this result", language="python")
        self.outputs = [self.link, self.code, self.files, self.status]

    def show(self, recipe: Recipe) -> dict:
        """Updates for a new result: the last one's files go."""
        return {
            self.link: recipe.link(), self.code: recipe.code(), self.files: no_files(),
            self.status: "",
        }  # fmt: skip

    def wire(
        self, state: Any, write: Callable[[Any, Path], list[Path]], *, keyed: bool = False
    ) -> None:
        """state holds what `write(value, folder)` turns into files; keyed: write takes the request
        instead. A new link is completed in the browser, which alone knows the page's address, and
        shown in the address bar."""

        def bundle(value: Any, folder: Path) -> dict:
            if value is None:
                raise InputError("There is no result yet. Run the tab first.")
            paths = write(value, folder)
            everything = folder / f"sightline-{self.slug}.zip"
            with zipfile.ZipFile(everything, "w", zipfile.ZIP_DEFLATED) as file:
                for path in paths:
                    file.write(path, path.name)
            written = [str(p) for p in (everything, *paths)]
            return {self.files: gr.File(written, visible=True)}

        def files(given: Any):
            with tempfile.TemporaryDirectory() as folder:  # Gradio copies what is yielded
                yield guard(bundle, self.status)(given, Path(folder))

        def keyed_files(value: Any, request: gr.Request):
            yield from files(None if value is None else request)

        self.write.click(
            keyed_files if keyed else files, [state], [self.status, self.files],
            api_visibility="private", show_progress="minimal",
        )  # fmt: skip
        self.link.change(
            None, [self.link], [self.link],
            js="""(link) => {
              if (!link) return link;
              const query = link.slice(link.indexOf('?'));
              history.replaceState(null, '', location.pathname + query);
              return location.origin + location.pathname + query;
            }""",
            **QUIET,
        )  # fmt: skip
