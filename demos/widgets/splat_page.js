// The page around a picture of splats: its style, its controls and its words.

const { search } = new URL(import.meta.url); // the version: see base.py
const { MAP, MODES } = await import(`./splat_gl.js${search}`);

export const STOPS = 1000; // of the build-up slider
const COARSE = matchMedia('(pointer: coarse)').matches;
const HINT = COARSE ? 'One finger turns, two move and zoom.'
  : 'Drag to turn, Shift-drag to move, wheel to zoom, W A S D Q E to fly.';
const WHY = `${COARSE ? 'Tap' : 'Click'} a pixel to see why it has its colour.`;
const COLOURS = 'Cameras: blue ones are learned from, orange dashed ones are held out.';
const KEYS = 'Arrow keys walk around it, with Shift they move it. W A S D fly, Q and E sink and rise. '
  + 'Plus and minus zoom, Home goes back to the start, P picks the pixel in the middle. The brackets '
  + '[ and ] step through the cameras, Enter jumps to one.';
export const WAYS = { // of looking, by what there is
  splats: MODES,
  points: ['Points', 'Depth'],
  mesh: ['Surface', 'Wireframe', 'Points', 'Depth', 'Normals'],
};
const SAYS = {
  Splats: 'Every Gaussian, blended front to back.',
  Points: 'Only where things stand, not how far they reach.',
  Rings: 'The outline of each Gaussian at 1 σ.',
  Depth: 'How far away, by colour.',
  Normals: 'Where surfaces face: right is red, up is green, towards you is blue.',
  Opacity: 'How much light each Gaussian stops at its middle.',
  Surface: 'The triangles, lit by a lamp at your eye.',
  Wireframe: 'The edges of the triangles.',
};

const STYLE = `
.spl { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4;
  --spl-learned: #56b4e9; --spl-held: #f0ab1a; --spl-line: #ffffff; --spl-halo: #000000; }
.spl-body:fullscreen { padding: 10px; overflow: auto;
  background: var(--background-fill-primary, #fff); }
.spl-stage { position: relative; margin: 8px 0; border-radius: 4px; overflow: hidden; }
.spl-body:fullscreen .spl-stage { margin: 8px auto; }
.spl-stage canvas { display: block; position: absolute; inset: 0; width: 100%; height: 100%; }
.spl-over { cursor: grab; touch-action: pan-y; user-select: none; border-radius: 4px;
  -webkit-tap-highlight-color: transparent; }
.spl-body:fullscreen .spl-over { touch-action: none; }
.spl-over[data-over] { cursor: pointer; }
.spl-over[data-dragged] { cursor: grabbing; }
.spl-over:focus-visible { outline: 2px solid var(--spl-line); outline-offset: -3px; }
.spl button:focus-visible, .spl input:focus-visible, .spl select:focus-visible,
.spl summary:focus-visible { outline: 2px solid var(--body-text-color, #1f2937); outline-offset: 2px; }
.spl-note, .spl-tip, .spl-legend { position: absolute; pointer-events: none; padding: 2px 8px;
  border-radius: 4px; color: #fff; background: rgba(0, 0, 0, 0.72); font-size: 13px;
  max-width: calc(100% - 12px); font-variant-numeric: tabular-nums; white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; }
.spl-note { left: 6px; bottom: 6px; }
.spl-tip { font-weight: 700; }
.spl-legend { right: 6px; top: 6px; display: flex; gap: 8px; align-items: center; }
.spl-legend i { width: 90px; height: 10px; border-radius: 2px;
  background: linear-gradient(to left, ${MAP.map((rgb) => `rgb(${rgb})`)}); }
.spl-row { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.spl-row + .spl-row { margin-top: 6px; }
.spl button { min-height: 32px; min-width: 40px; margin: 0; padding: 3px 12px; border-radius: 6px;
  font: inherit; color: inherit; cursor: pointer; text-transform: none;
  border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.spl button[aria-checked=true], .spl button[aria-pressed=true] {
  color: var(--background-fill-primary, #fff); background: var(--body-text-color, #1f2937);
  border-color: var(--body-text-color, #1f2937); }
.spl label { display: inline-flex; align-items: center; gap: 8px; min-height: 32px; margin: 0; }
.spl .spl-slider { flex: 1 1 230px; max-width: 420px; }
.spl .spl-slider > span { flex: none; }
.spl .spl-slider output { min-width: 4em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.spl input[type=range] { flex: 1 1 90px; min-width: 70px; margin: 0;
  accent-color: var(--color-accent, #2563eb); }
.spl input[type=checkbox] { appearance: auto; width: 16px; height: 16px; margin: 0;
  accent-color: var(--color-accent, #2563eb); }
.spl input[type=number], .spl select { min-height: 32px; padding: 2px 6px; border-radius: 6px;
  font: inherit; color: inherit; border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--input-background-fill, #fff); }
.spl input[type=number] { width: 84px; }
.spl select { appearance: auto; }
.spl .spl-row.spl-wide { gap: 4px 18px; }
.spl details { margin-top: 6px; }
.spl summary { display: inline-flex; align-items: center; min-height: 32px; cursor: pointer;
  border-radius: 4px; font-weight: 600; }
.spl summary::before { content: '▸'; width: 1.2em; }
.spl details[open] summary::before { content: '▾'; }
.spl-foot { margin-top: 6px; font-size: 13px; }
.spl-wrong { padding: 8px 0; }
.dark .spl { color-scheme: dark; }
@media (pointer: coarse) {
  .spl button, .spl label, .spl summary, .spl select, .spl input[type=number] { min-height: 40px; }
}
.spl [hidden] { display: none !important; }
`;

const slider = (name, text, low, high, step, value) => `<label class="spl-slider">
  <span>${text}</span><input type="range" data-set="${name}" min="${low}" max="${high}"
  step="${step}" value="${value}"><output></output></label>`;
const box = (name, text, checked) => `<label><input type="checkbox" data-set="${name}"
  ${checked ? 'checked' : ''}>${text}</label>`;
const HTML = `<style>${STYLE}</style><div class="spl"><div class="spl-body" hidden>
  <div class="spl-row spl-modes" role="radiogroup" aria-label="What is drawn"></div>
  <div class="spl-stage"><canvas class="spl-gl" aria-hidden="true"></canvas>
    <canvas class="spl-over" tabindex="0" role="application"></canvas>
    <div class="spl-legend" hidden><span></span><i></i><span></span></div>
    <div class="spl-note"></div><div class="spl-tip" role="status" hidden></div></div>
  <div class="spl-row">${slider('count', 'Build-up', 0, STOPS, 1, STOPS)}
    <button type="button" data-do="reset">Reset view</button>
    <button type="button" data-do="flip" title="If the scene stands on its head">Flip up</button>
    <button type="button" data-do="shoot" title="Save what you see as a PNG">Screenshot</button>
    <button type="button" data-do="fill" aria-pressed="false">Full screen</button></div>
  <details><summary>More</summary>
    <div class="spl-row spl-wide">${slider('degree', 'Colour degree', 0, 3, 1, 3)}
      ${slider('scale', 'Splat size ×', -2, 0.6, 0.05, 0)}</div>
    <div class="spl-row spl-wide">${box('half', 'Half-transparent')}
      ${box('sort', 'Sorted by depth', true)}${box('frusta', 'Cameras', true)}
      ${box('white', 'White background')}${box('whole', 'All splats while moving')}</div>
    <div class="spl-row spl-crop"><label>Crop <select data-set="crop"><option value="">nothing</option>
      <option value="box">to a box</option><option value="sphere">to a sphere</option></select></label>
      <span class="spl-row spl-numbers"></span></div></details>
  <div class="spl-foot"></div></div>
  <div class="spl-wrong" role="alert" hidden></div><div class="spl-empty"></div></div>`;

/** Draws the page into `home`. chosen(name): a way of looking was chosen.
 *
 * Gives find(selector), inputs {name: element}, say(text) for the small line in the corner,
 * legend(ends) for the two ends of the colour bar or undefined for none, and describe(state). */
export function drawPage(home, chosen) {
  home.innerHTML = HTML;
  const find = (selector) => home.querySelector(selector);
  const inputs = Object.fromEntries([...home.querySelectorAll('[data-set]')].map((input) =>
    [input.dataset.set, input]));
  const modes = find('.spl-modes');
  modes.onclick = ({ target }) => target.dataset.mode && chosen(target.dataset.mode);
  modes.onkeydown = (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const names = WAYS[modes.dataset.kind];
    const now = names.indexOf(modes.querySelector('[aria-checked=true]').dataset.mode);
    chosen(names[(now + by + names.length) % names.length]);
    modes.querySelector('[aria-checked=true]').focus();
  };

  /** Texts and switches that depend on the scene and on the settings.
   *
   * kind: a key of WAYS; mode: one of its ways. count: how many are drawn, as text; degree: the
   * highest of the colours; scale: times the size. cameras: how many; held: some are held out. */
  function describe({ kind, mode, count, degree, scale, cameras, held }) {
    if (modes.dataset.kind !== kind) {
      modes.dataset.kind = kind;
      modes.innerHTML = WAYS[kind].map((name) =>
        `<button type="button" role="radio" data-mode="${name}">${name}</button>`).join('');
    }
    for (const button of modes.children) {
      button.setAttribute('aria-checked', String(button.dataset.mode === mode));
      button.tabIndex = button.dataset.mode === mode ? 0 : -1;
    }
    const label = (name) => inputs[name].closest('label');
    const solid = kind !== 'splats';
    for (const name of ['count', 'degree', 'half', 'sort', 'whole']) label(name).hidden = solid;
    const dots = mode === 'Points';
    label('scale').hidden = solid && !dots;
    label('scale').querySelector('span').textContent = dots ? 'Point size ×' : 'Splat size ×';
    inputs.degree.max = String(degree);
    label('degree').hidden ||= degree === 0;
    label('frusta').hidden = !cameras;
    told('count', count);
    told('degree', inputs.degree.value);
    told('scale', scale.toFixed(2));
    find('.spl-foot').textContent = [SAYS[mode], HINT, solid ? '' : WHY, held ? COLOURS : '']
      .join(' ');
    find('.spl-over').setAttribute('aria-label',
      `The scene in 3-D${cameras ? `, with ${cameras} cameras` : ''}. ${KEYS}`);
  }

  function told(name, text) {
    inputs[name].setAttribute('aria-valuetext', text);
    inputs[name].nextElementSibling.textContent = text;
  }

  function say(text) {
    if (find('.spl-note').textContent !== text) find('.spl-note').textContent = text;
  }

  function legend(ends) {
    find('.spl-legend').hidden = !ends;
    ends?.forEach((end, k) => { find('.spl-legend').querySelectorAll('span')[k].textContent = end; });
  }

  return { find, inputs, say, legend, describe };
}
