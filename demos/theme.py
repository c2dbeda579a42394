"""Sightline's look: ink on paper, one deep teal, generous space; the same ideas in the dark.

Every pair of text and ground below has a contrast of at least 4.5 : 1 (WCAG AA);
tests/test_ui.py computes it.
"""

from __future__ import annotations

from gradio import themes

INK, PAPER, PANEL, LINE = "#17212b", "#fbfaf7", "#ffffff", "#dcdcd4"
DIM, ACCENT, ACCENT_DARK = "#55606c", "#0b6e6e", "#095a5a"
NIGHT_INK, NIGHT, NIGHT_PANEL, NIGHT_LINE = "#e8eaec", "#12171c", "#1a2129", "#333d48"
NIGHT_DIM, NIGHT_ACCENT = "#a3aeb9", "#58c4bd"
ALARM, NIGHT_ALARM = "#9a3412", "#fdba74"

TEAL = themes.Color(
    name="sightline",
    c50="#eef7f6", c100="#d5ecea", c200="#acd9d5", c300="#79c1bb", c400="#3fa39d", c500="#15837f",
    c600=ACCENT, c700=ACCENT_DARK, c800="#0a4849", c900="#0a3b3d", c950="#042425",
)  # fmt: skip


def theme() -> themes.Base:
    """The Gradio theme. Fonts come from Gradio's own wheel: nothing is fetched.

    Its semi-bold files hold no Latin letters, hence the weights."""
    look = themes.Base(
        primary_hue=TEAL,
        secondary_hue=TEAL,
        neutral_hue="gray",
        radius_size="sm",
        font=(themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=(themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"),
    )
    return look.set(
        body_background_fill=PAPER,
        body_background_fill_dark=NIGHT,
        body_text_color=INK,
        body_text_color_dark=NIGHT_INK,
        body_text_color_subdued=DIM,
        body_text_color_subdued_dark=NIGHT_DIM,
        background_fill_primary=PANEL,
        background_fill_primary_dark=NIGHT_PANEL,
        background_fill_secondary=PAPER,
        background_fill_secondary_dark=NIGHT,
        border_color_primary=LINE,
        border_color_primary_dark=NIGHT_LINE,
        color_accent=ACCENT,
        block_background_fill=PANEL,
        block_background_fill_dark=NIGHT_PANEL,
        block_border_color=LINE,
        block_border_color_dark=NIGHT_LINE,
        block_shadow="none",
        block_info_text_color=DIM,
        block_info_text_color_dark=NIGHT_DIM,
        block_label_background_fill=PANEL,
        block_label_background_fill_dark=NIGHT_PANEL,
        block_label_text_color=DIM,
        block_label_text_color_dark=NIGHT_DIM,
        block_title_text_color=INK,
        block_title_text_color_dark=NIGHT_INK,
        block_title_text_weight="600",
        input_background_fill=PANEL,
        input_background_fill_dark=NIGHT,
        input_border_width="1px",
        input_border_color=LINE,
        input_border_color_dark=NIGHT_LINE,
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_dark=NIGHT_ACCENT,
        button_primary_background_fill_hover=ACCENT_DARK,
        button_primary_background_fill_hover_dark="#7ad3cd",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark=NIGHT,
        button_secondary_background_fill=PANEL,
        button_secondary_background_fill_dark=NIGHT_PANEL,
        button_secondary_border_color=LINE,
        button_secondary_border_color_dark=NIGHT_LINE,
        button_secondary_text_color=INK,
        button_secondary_text_color_dark=NIGHT_INK,
        button_border_width="1px",
        button_border_width_dark="1px",
        button_primary_border_color=ACCENT,
        button_primary_border_color_dark=NIGHT_ACCENT,
        table_odd_background_fill=PAPER,
        table_odd_background_fill_dark=NIGHT,
        table_even_background_fill=PANEL,
        table_even_background_fill_dark=NIGHT_PANEL,
        slider_color=ACCENT,
        slider_color_dark=NIGHT_ACCENT,
        link_text_color=ACCENT,
        link_text_color_dark=NIGHT_ACCENT,
        checkbox_background_color_selected=ACCENT,
        checkbox_background_color_selected_dark=NIGHT_ACCENT,
        checkbox_label_text_color_selected=INK,
        checkbox_label_text_color_selected_dark=NIGHT_INK,
        checkbox_label_background_fill_selected="#d5ecea",
        checkbox_label_background_fill_selected_dark="#0a3b3d",
    )


CSS = f"""
.gradio-container {{ width: 100% !important; max-width: 1440px !important; margin: 0 auto; }}
@media (max-width: 640px) {{
  .main.fillable {{ padding: 12px !important; }}
  .masthead {{ flex-wrap: wrap !important; }}
}}
body.dark {{ background: {NIGHT}; }}
body:not(.dark) .cm-line, body:not(.dark) .cm-line span {{ color: var(--body-text-color) !important; }}
.dark {{ --color-accent: {NIGHT_ACCENT}; }}
.masthead {{ justify-content: space-between; align-items: center; }}
.masthead > :last-child {{ flex: 0 0 auto !important; width: auto; }}
.masthead h1 {{ font-size: 1.55rem; letter-spacing: -0.01em; margin: 0; }}
.masthead p {{ margin: 0; color: var(--body-text-color-subdued); }}
.blurb p {{ max-width: 75ch; color: var(--body-text-color-subdued); margin: 0 0 4px; }}
.job {{ max-width: 420px; }}
.html-container {{ padding: 0 !important; }}
.status .status {{ min-height: 0; }}
.status {{ padding: 0 !important; min-height: 2.6em; font-size: .92rem; line-height: 1.35; }}
.status .bar {{ height: 3px; background: var(--border-color-primary); margin-top: 6px; }}
.status .bar i {{ display: block; height: 3px; background: var(--color-accent); }}
.status .said {{ border-left: 3px solid {ALARM}; padding: 2px 0 2px 10px; }}
.dark .status .said {{ border-left-color: {NIGHT_ALARM}; }}
.status .waits {{ animation: waits 0s 1s backwards; }}
@keyframes waits {{ from {{ visibility: hidden; }} }}
.check {{ font-size: .92rem; line-height: 1.4; border-left: 3px solid {ALARM}; padding: 2px 0 2px 10px;
  margin-bottom: 6px; }}
.dark .check {{ border-left-color: {NIGHT_ALARM}; }}
.check.good {{ border-left-color: var(--color-accent) !important; }}
.check ul {{ margin: 0; padding: 0; list-style: none; }}
.check li + li {{ margin-top: 6px; }}
.headline {{ font-size: 1.02rem; line-height: 1.45; }}
.headline .note {{ color: var(--body-text-color-subdued); font-size: .92rem; }}
table.facts {{ border-collapse: collapse; min-width: min(100%, 420px); font-size: .92rem; margin: 4px 0; }}
table.facts th, table.facts td {{ text-align: left; padding: 5px 14px 5px 0; vertical-align: top;
  border-bottom: 1px solid var(--border-color-primary); }}
table.facts td.n, table.facts th.n {{ text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }}
table.facts td.why {{ color: var(--body-text-color-subdued); }}
@media (max-width: 640px) {{  /* a remark goes under its row, and of a long row half goes under it too */
  table.facts th.n {{ white-space: normal; }}
  table.facts tr:has(> .why:nth-child(3)) {{ display: grid; grid-template-columns: 1fr auto; }}
  table.facts tr:has(> .why:nth-child(5)) {{ display: grid; grid-template-columns: 8em 1fr; }}
  table.facts tr > td.why:is(:nth-child(3), :nth-child(5)) {{ grid-column: 1 / -1; padding-top: 0; }}
  table.facts tr:has(> td.why:is(:nth-child(3), :nth-child(5))) > :not(.why) {{ border-bottom: 0; }}
  table.facts tr > th.why:is(:nth-child(3), :nth-child(5)) {{ display: none; }}
}}
.scroll {{ overflow-x: auto; }}
.panel > button {{ font-weight: 700; }}
.block.lesson {{ max-width: 78ch; line-height: 1.6; margin: 0 auto; }}
.files .label-clear-button {{ display: none; }}
#captioning-picker .grid-container {{ grid-template-columns: repeat(auto-fill, minmax(100px, 1fr)); }}
.picked {{ display: flex; flex-wrap: wrap; gap: 12px 24px; }}
.picked .scroll {{ flex: 1 1 220px; }}
.pictures {{ display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }}
.pictures.small {{ grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--least)), 1fr)); }}
.pictures figure, .patches figure {{ margin: 0; }}
.pictures img {{ width: 100%; border-radius: 3px; }}
.pictures figcaption {{ font-size: .9rem; line-height: 1.4; margin-top: 4px; }}
.quad {{ display: grid; gap: 8px; grid-template-columns: 1fr 1fr; max-width: 560px; }}
.quad.five {{ grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); max-width: none; }}
.quad figure {{ margin: 0; max-width: 260px; }}
.quad img {{ width: 100%; border-radius: 3px; }}
.quad figcaption {{ font-size: .85rem; line-height: 1.35; margin-top: 2px; }}
.pair {{ display: grid; gap: 4px 20px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }}
.strip {{ display: flex; height: 26px; border-radius: 3px; overflow: hidden; }}
.strip i {{ flex: 1; }}
.chart {{ margin: 0; max-width: 680px; }}
.chart svg {{ width: 100%; }}
.chart text {{ fill: currentColor; font-size: 12px; }}
.chart .title {{ font-weight: 700; font-size: 13px; }}
.chart .grid {{ stroke: var(--border-color-primary); }}
.chart figcaption {{ display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: .88rem; }}
.chart figcaption span {{ display: inline-flex; gap: 6px; align-items: center; }}
.chart figcaption svg {{ width: 26px; flex: none; }}
.patches {{ display: flex; gap: 10px; font-size: .85rem; }}
.patches img {{ image-rendering: pixelated; border: 1px solid var(--border-color-primary); }}
.headline .caption {{ font-size: 1.2rem; }}
.timeline {{ position: relative; height: 34px; margin: 8px 0; background: var(--border-color-primary); }}
.timeline i {{ position: absolute; top: 0; bottom: 0; background: var(--color-accent);
  border-left: 2px solid var(--body-background-fill); overflow: hidden; font-style: normal; }}
.timeline b {{ padding: 6px; line-height: 34px; color: var(--button-primary-text-color); }}
table.facts td.heat {{ padding: 4px 8px; color: var(--body-text-color);
  background: color-mix(in srgb, var(--color-accent) calc(60% * var(--share)), transparent); }}
pre {{ font-size: .82rem; overflow-x: auto; }}
footer {{ display: none !important; }}
@media (prefers-reduced-motion: reduce) {{ * {{ transition: none !important; }} }}
"""
