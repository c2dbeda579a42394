"""Sightline: see how computer vision sees. `python app.py --help` lists the options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

TAGLINE = "See how computer vision sees: run it, open it, score it, take it away."


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. What core needs of it goes into environment variables."""
    from demos import TABS

    on_space = "SPACE_ID" in os.environ
    parser = argparse.ArgumentParser(
        prog="app.py", description=TAGLINE, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_space else "127.0.0.1")
    port = int(os.environ.get("GRADIO_SERVER_PORT", 7860))
    parser.add_argument("--host", default=host, help="address to listen on")
    parser.add_argument("--port", type=int, default=port, help="port to listen on")
    parser.add_argument("--tabs", nargs="+", choices=TABS, default=list(TABS), metavar="TAB",
                        help="tabs to show, of: " + ", ".join(TABS))  # fmt: skip
    parser.add_argument("--models", metavar="FOLDER", default=os.environ.get("SIGHTLINE_MODELS"),
                        help="folder with model weights (org/name folders or a hub cache)")  # fmt: skip
    parser.add_argument("--offline", action="store_true", help="fetch nothing, ever")
    parser.add_argument("--cluster", metavar="ADDRESS",
                        help="Ray cluster to send heavy work to, e.g. ray://host:10001")  # fmt: skip
    parser.add_argument("--public", action="store_true", default=on_space,
                        help="for strangers: smaller uploads, a bounded queue")  # fmt: skip
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    chosen = parser.parse_args(arguments)
    if chosen.cluster:
        parser.error("running on a cluster isn't built yet: start without --cluster")
    if chosen.models:  # a shell leaves ~ as it is in --models=~/weights
        chosen.models = os.path.abspath(os.path.expanduser(chosen.models))
        if not os.path.isdir(chosen.models):
            parser.error(f"--models or SIGHTLINE_MODELS: there is no folder {chosen.models}")
    return chosen


def configure(chosen: argparse.Namespace) -> None:
    """Put the choices where core and the libraries look for them. Before importing gradio."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # torch's threads wait by sleeping: by spinning they would keep the browser from its core
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if chosen.offline:
        os.environ["SIGHTLINE_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"
    if chosen.models:
        os.environ["SIGHTLINE_MODELS"] = chosen.models
    if chosen.public or chosen.host not in ("127.0.0.1", "localhost", "::1"):
        os.environ["SIGHTLINE_PUBLIC"] = "1"  # no folder is opened because a visitor named it


def build(tabs: Sequence[str]):
    """The page: a masthead and the tabs, as gr.Blocks."""
    import gradio as gr

    import demos
    from demos import shelf, ui
    from demos.widgets.restore import Restore

    with gr.Blocks(title="Sightline", delete_cache=(3600, 24 * 3600)) as page:
        with gr.Row(elem_classes="masthead", equal_height=True):
            gr.HTML(f"<h1>Sightline</h1><p>{TAGLINE}</p>", padding=False)
            Restore(scale=0, min_width=180)
        drawn = {}
        with gr.Tabs() as rail:
            for demo in demos.load(tabs):
                with gr.Tab(demo.title, id=demo.slug) as drawn[demo.slug]:
                    gr.Markdown(demo.blurb, elem_classes="blurb")
                    demo.build()
        ui.open_tab_of_link(rail, drawn)
        ui.on_close(shelf.forget)
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = options(arguments)
    configure(chosen)
    page = build(chosen.tabs)

    import gradio as gr

    from demos import theme
    from demos.widgets.base import HERE

    gr.set_static_paths([HERE])
    page.queue(max_size=32 if chosen.public else None)
    page.launch(
        server_name=chosen.host,
        server_port=chosen.port,
        inbrowser=chosen.open,
        share=False,
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        max_file_size="40mb" if chosen.public else "500mb",
        show_error=not chosen.public,
        theme=theme.theme(),
        css=theme.CSS,
    )


if __name__ == "__main__":
    main()
