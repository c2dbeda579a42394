"""How a browser part is joined to Gradio: a JavaScript module beside its Python class.

`gr.HTML` runs `js_on_load` once, when the widget first comes into view. Ours imports the module
and calls its `mount(home, {emit, url, keep})`, which draws into `home` and returns `{show(value)}`.
From then on values flow in through `show` and events flow out through `emit`; a value that the
person changes is told by `keep`. The HTML template
never mentions the value, because Gradio redraws a template that does, and the canvas with it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

HERE = Path(__file__).resolve().parent

# The module's address stands in this text, not in a prop: a widget in a tab or panel that was
# closed when its first value came gets the value, but none of its other props.
# Gradio lets Python listen to a custom event only if its name stands quoted in this text.
BRIDGE = """
const events = [EVENTS];
const home = element.querySelector('.sl-widget');
const url = (path) => path.startsWith('/') ? (window.gradio_config?.root ?? '') + path : path;
const emit = (name, detail) => { if (events.includes(name)) trigger(name, detail); };
const keep = (value) => { props.value = JSON.stringify(value); };
(async () => {
  const { mount } = await import(url('MODULE'));
  const part = mount(home, { emit, url, keep });
  const show = () => part.show(props.value ? JSON.parse(props.value) : null);
  watch('value', show);
  show();
})().catch((error) => {
  home.textContent = 'This part of the page did not load. Reload the page to try again.';
  console.error('MODULE', error);
});
"""


def static_url(name: str) -> str:
    """Where the browser finds a module of this folder; `?v=` changes when any of them does.

    A browser may keep what it got from an address, so no module may be had without the version.
    Hence modules don't import each other with a plain `import … from`, which would lose it, but
    hand it on: `await import(`./other.js${search}`)`, search being that of their own address.

    The app must have called `gr.set_static_paths` with this folder. The address leaves out the
    root path of a Space or proxy, which only the page knows: the bridge above adds it.
    """
    modules = b"".join(path.read_bytes() for path in sorted(HERE.glob("*.js")))
    version = hashlib.sha256(modules).hexdigest()[:12]
    return f"/gradio_api/file={quote((HERE / name).as_posix())}?v={version}"


class Widget(gr.HTML):
    """A `gr.HTML` whose value is a JSON-able dict (or None, for nothing yet) shown by a module.

    module: file name of the JavaScript beside this file. events: names it may emit; the data
    of each arrives as `gr.EventData` with the details in `_data`.
    """

    def __init__(
        self, value: Any = None, *, module: str, events: tuple[str, ...] = (), **kwargs: Any
    ):
        super().__init__(
            value,
            html_template='<div class="sl-widget"></div>',
            js_on_load=BRIDGE.replace("EVENTS", ", ".join(f"'{name}'" for name in events)).replace(
                "MODULE", static_url(module)
            ),
            apply_default_css=False,
            **kwargs,
        )

    def postprocess(self, value: Any) -> str | None:
        """The value as one string: Gradio copies values at every status message, and copying
        nested lists number by number starves the page."""
        return None if value is None else json.dumps(value)

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}

    def example_payload(self) -> Any:
        return {}

    def example_value(self) -> Any:
        return {}
