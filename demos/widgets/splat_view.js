// The view of splats, points and meshes: a camera on an orbit, drawn here, at once.
//
// Three hands work side by side. The worker (splat_sort.js) sorts by depth. The graphics card
// (splat_gl.js) draws. This page only asks: it never waits for either. While the camera moves, a
// picture may take 60 ms, so it gets as many of the most important splats as that allows, without
// their faint rims, and fewer pixels; when the camera rests, the whole picture is drawn, slice by
// slice, and shown when it is complete. The camera is orbit_view.js's: the server means the same.

import { basis, cut, frustumDepth, frustumPoints, viewOf } from './orbit_view.js';
import { MAP, MODES, renderer } from './splat_gl.js';

const TALLEST = 560; // css px
const SHARPEST = 2; // device px per css px
const BUDGET_MS = 60; // of a picture while the camera moves
const REST_MS = 200; // without a movement: it rests
const TELL_MS = 250; // of rest, then the server is told
const FEWEST = 16384; // splats while it moves
const AT_FIRST = 65536; // splats of the first picture of a larger scene; the others follow
const WIDEST = 2.83; // σ of a splat while it moves: beyond, α is below 1/55
const COARSEST = 0.5; // of the pixels' number along a side while it moves
const SPEED = 0.7; // of flying, radii a second; with Shift three times that
const SLACK = { mouse: 4, pen: 6, touch: 10 }; // css px: less movement is still a click
const NEAR = { mouse: 7, pen: 9, touch: 14 }; // css px: such a line is meant
const ACROSS = 200; // degrees of a drag over the whole width
const STEP = 5; // degrees of an arrow key
const CLOSER = 1.15; // zoom of one key press
const STEEPEST = 89; // degrees
const REACH = [0.01, 20]; // of the radius, times the one at the start
const STOPS = 1000; // of the build-up slider
const EDGES = [[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1], [1, 5], [5, 2]];
const BOX_EDGES = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((a) =>
  [1, 2, 4].filter((bit) => !(a & bit)).map((bit) => [a, a | bit]));
const COARSE = matchMedia('(pointer: coarse)').matches;
const HINT = COARSE ? 'One finger turns, two move and zoom.'
  : 'Drag to turn, Shift-drag to move, wheel to zoom, W A S D Q E to fly.';
const WHY = `${COARSE ? 'Tap' : 'Click'} a pixel to see why it has its colour.`;
const COLOURS = 'Cameras: blue ones are learned from, orange dashed ones are held out.';
const KEYS = 'Arrow keys walk around it, with Shift they move it. W A S D fly, Q and E sink and rise. '
  + 'Plus and minus zoom, Home goes back to the start, P picks the pixel in the middle. The brackets '
  + '[ and ] step through the cameras, Enter jumps to one.';
const WAYS = { // of looking, by what there is
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

// ---------------------------------------------------------------- small things

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
/** a + k b */
const plus = (a, b, k = 1) => [a[0] + k * b[0], a[1] + k * b[1], a[2] + k * b[2]];
const clamped = (v, low, high) => Math.min(high, Math.max(low, v));
const degrees = (radians) => (radians * 180) / Math.PI;
const counted = (n) => n.toLocaleString('en');
const short = (v) => String(Number(v.toPrecision(3)));

/** Distance from a point to a line between two others, px. */
function toLine([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const share = clamped(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return Math.hypot(x - x0 - share * dx, y - y0 - share * dy);
}

/** The orbit of a camera that stands at `eye` and looks along `ahead`, `radius` from its target. */
export function orbitAt(eye, ahead, radius, up, fov_deg) {
  const still = { elevation_deg: 0, radius: 1, target: [0, 0, 0], up };
  const [zero, quarter] = [0, 90].map((azimuth_deg) => basis({ ...still, azimuth_deg }).eye);
  const above = up.map((v) => v / Math.hypot(...up));
  const away = ahead.map((v) => -v);
  return { azimuth_deg: degrees(Math.atan2(dot(away, quarter), dot(away, zero))),
    elevation_deg: degrees(Math.asin(clamped(dot(away, above), -1, 1))),
    radius, target: plus(eye, ahead, radius), up, fov_deg };
}

/** The same eye and target with the other side up. */
export const flipped = (orbit) => ({ ...orbit, azimuth_deg: -orbit.azimuth_deg,
  elevation_deg: -orbit.elevation_deg, up: orbit.up.map((v) => -v) });

/** How many splats the build-up slider means: even steps multiply. */
export const countAt = (stop, n) => Math.round(n ** (stop / STOPS));

// ---------------------------------------------------------------- the part of the page

export function mount(home, { emit, url }) {
  home.innerHTML = HTML;
  const find = (selector) => home.querySelector(selector);
  const [canvas, over] = [find('.spl-gl'), find('.spl-over')];
  const tip = find('.spl-tip');
  const inputs = Object.fromEntries([...home.querySelectorAll('[data-set]')].map((input) =>
    [input.dataset.set, input]));

  let card = null; // the renderer
  let worker = null;
  let scene = null; // all that values with this key have said
  let info = null; // {kind, n, all, faces, bounds}: what the worker found
  let ready = false; // all of it is on the card
  let arrived = 0; // when the bytes did, ms since the epoch
  let trouble = ''; // instead of a view
  let orbit = null;
  let upside = false; // the up axis is flipped
  let mode = 'Splats';
  let crop = null; // {kind, low, high}, as the programs take it
  let frusta = []; // of each camera its six points, in the world
  let picked = null; // {x, y} px of the canvas
  let width = 0; // css px
  let height = 0;
  let inSight = true;

  const geometry = () => info?.kind === 'geometry';
  const kind = () => (geometry() ? (info.faces ? 'mesh' : 'points') : 'splats');
  const background = () => (inputs.white.checked ? [1, 1, 1] : scene?.background ?? [0, 0, 0]);
  const wanted = () => (info ? countAt(Number(inputs.count.value), info.n) : 0);
  const scale = () => 10 ** Number(inputs.scale.value);
  const start = () => (upside ? flipped(scene.start) : scene.start);

  function show(value) {
    if (value && value.key !== scene?.key) {
      trouble = ''; // it was the other scene's; a browser without WebGL says so again
      find('.spl-wrong').hidden = true;
    }
    find('.spl-body').hidden = !value || Boolean(trouble);
    find('.spl-empty').textContent = value ? '' : 'No scene yet.';
    if (!value) {
      scene = null;
      forget();
      return;
    }
    const other = !scene || value.key !== scene.key;
    if (other) {
      if (!value.url || !value.start) emit('missed', { key: value.key });
      [scene, orbit, upside, picked] = [{}, null, false, null];
      forget();
      setCrop('', false);
      prepare([]);
    }
    const address = scene.url;
    Object.assign(scene, value);
    if (!orbit && scene.start) orbit = settled(value.orbit ?? scene.start);
    else if (value.orbit) orbit = settled(value.orbit);
    if ('frusta' in value) prepare(value.frusta ?? []);
    if (scene.url && scene.url !== address) load();
    else if ('selected' in value || 'hidden' in value) flag();
    inputs.frusta.parentElement.hidden = !frusta.length;
    describe();
    resize();
    changed();
  }

  function forget() {
    worker?.terminate();
    card?.drop();
    [worker, info, ready, order, job, shown] = [null, null, false, null, null, null];
    [sorting, asked] = [false, ''];
  }

  function fail(text) {
    trouble = text;
    find('.spl-wrong').textContent = text;
    find('.spl-wrong').hidden = false;
    find('.spl-body').hidden = true;
  }

  // ------------------------------------------------------------ the worker

  function load() {
    forget();
    if (trouble) return;
    try {
      card ??= renderer(canvas);
    } catch (error) {
      fail(error.message);
      return;
    }
    worker = new Worker(new URL('./splat_sort.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }) => hear(data);
    worker.onerror = () => fail('The part that sorts splats did not load. Reload the page.');
    worker.postMessage({ load: new URL(url(scene.url), location.href).href, rows: card.rows });
    say('Loading …');
  }

  function hear(data) {
    if (data.failed) return fail(data.failed);
    if (data.progress) {
      const { got, total } = data.progress;
      say(total > got ? `Loading, ${Math.floor((100 * got) / total)} %`
        : `Loading, ${(got / 1e6).toFixed(1)} MB`);
    } else if (data.scene) {
      info = data.scene;
      times = [];
      if (data.geometry) card.setGeometry(data.geometry);
      else card.begin(info);
      describe();
    } else if (data.chunk) {
      card.add(data.chunk);
    } else if (data.flags) {
      card.setFlags(data.flags);
      changed();
    } else if (data.ready) {
      [ready, arrived] = [true, data.arrived];
      delete canvas.dataset.firstMs;
      delete canvas.dataset.wholeMs;
      if (scene.selected || scene.hidden) flag();
      quality = Math.min(1, AT_FIRST / info.n);
      changed(!geometry() && quality < 1);
    } else if (data.order) {
      card.setOrder(data.order, data.count);
      order = data;
      sorting = false;
      wake();
    }
  }

  function flag() {
    const { selected = null, hidden = null } = scene;
    if (ready && !geometry()) worker.postMessage({ flags: { selected, hidden } });
  }

  // ------------------------------------------------------------ what is to be seen

  /** Texts and switches that depend on the scene and on the settings. */
  function describe() {
    const ways = WAYS[kind()];
    if (!ways.includes(mode)) mode = ways[0];
    const row = find('.spl-modes');
    if (row.dataset.kind !== kind()) {
      row.dataset.kind = kind();
      row.innerHTML = ways.map((name) =>
        `<button type="button" role="radio" data-mode="${name}">${name}</button>`).join('');
    }
    for (const button of row.children) {
      button.setAttribute('aria-checked', String(button.dataset.mode === mode));
      button.tabIndex = button.dataset.mode === mode ? 0 : -1;
    }
    const label = (name) => inputs[name].closest('label');
    for (const name of ['count', 'degree', 'half', 'sort', 'whole']) label(name).hidden = geometry();
    const dots = mode === 'Points';
    label('scale').hidden = geometry() && !dots;
    label('scale').querySelector('span').textContent = dots ? 'Point size ×' : 'Splat size ×';
    const degree = info?.coefficients ? Math.sqrt(info.coefficients) - 1 : 3;
    inputs.degree.max = String(degree);
    label('degree').hidden ||= degree === 0;
    told('count', info ? `${counted(wanted())} of ${counted(info.n)}` : '');
    told('degree', inputs.degree.value);
    told('scale', scale().toFixed(2));
    const held = scene?.frusta?.some((frustum) => frustum.held);
    find('.spl-foot').textContent = [SAYS[mode], HINT, geometry() ? '' : WHY, held ? COLOURS : '']
      .join(' ');
    over.setAttribute('aria-label', `The scene in 3-D${frusta.length ? `, with ${frusta.length} cameras`
      : ''}. ${KEYS}`);
  }

  function told(name, text) {
    inputs[name].setAttribute('aria-valuetext', text);
    inputs[name].nextElementSibling.textContent = text;
  }

  function prepare(list) {
    const apexes = list.map(({ c2w }) => [c2w[3], c2w[7], c2w[11]]);
    const depth = list.length ? frustumDepth(apexes, scene.start?.target ?? [0, 0, 0]) : 0;
    frusta = list.map((frustum) => frustumPoints(frustum, depth));
    [drawn, hovered] = [[], -1];
  }

  function resize() {
    const room = Math.floor(find('.spl').getBoundingClientRect().width);
    if (!scene || !room) return;
    if (!worker && scene.url && !trouble) load();
    const full = document.fullscreenElement === find('.spl-body');
    const stage = find('.spl-stage');
    if (full) {
      const others = find('.spl-body').scrollHeight - stage.offsetHeight;
      width = window.innerWidth - 20;
      height = Math.max(200, window.innerHeight - Math.min(others, window.innerHeight / 2));
    } else {
      const aspect = scene.aspect > 0 ? scene.aspect : 4 / 3;
      width = Math.min(room, Math.round(TALLEST * aspect));
      height = Math.max(1, Math.round(width / aspect));
    }
    stage.style.width = `${width}px`;
    stage.style.height = `${height}px`;
    const ratio = Math.min(SHARPEST, window.devicePixelRatio || 1);
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width === size[0] && canvas.height === size[1]) return;
    for (const each of [canvas, over]) [each.width, each.height] = size;
    card?.blank(background());
    picked = null;
    changed();
  }

  // ------------------------------------------------------------ pictures, one after another

  let stamp = 0; // grows with everything that changes the picture
  let order = null; // the last one from the worker: {count, asked, near, far, stamp}
  let sorting = false;
  let asked = ''; // of the worker, last
  let job = null; // the picture being drawn: {stamp, order, fast, orbit, began, done}
  let shown = null; // the job whose picture is on the page
  let quality = 1; // share of splats while the camera moves
  let pace = 1; // slices the card gets at once
  let times = []; // ms of the last pictures
  let finished = 0; // when the last one was, ms
  let pictures = 0;
  let movedAt = -Infinity;
  let shooting = false;
  let waiting = false;
  let polling = false;

  /** Something changed: the picture has to be drawn again, by and by. */
  function changed(moves = false) {
    stamp++;
    canvas.dataset.state = 'late';
    if (moves) {
      movedAt = performance.now();
      setTimeout(wake, REST_MS + 20);
    }
    wake();
  }

  function wake() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame((now) => {
      waiting = false;
      tick(now);
    });
  }

  /** Looks again soon whether the card is done: sooner than the next frame. */
  function poll() {
    if (polling) return;
    polling = true;
    setTimeout(() => {
      polling = false;
      tick(performance.now());
    }, 3);
  }

  function tick(now) {
    if (!home.isConnected) return forget(); // should it come back, `resize` loads it again
    if (!ready || !orbit || !width || !inSight || document.hidden) return;
    fly(now);
    const fast = performance.now() - movedAt < REST_MS;
    const most = fast && !inputs.whole.checked
      ? Math.min(wanted(), Math.max(FEWEST, Math.round(wanted() * quality))) : wanted();
    if (!geometry()) sort(most);
    if (card.busy()) return poll();
    if (job && !job.done && fast && !job.fast && job.stamp !== stamp) job = null; // it would be late
    if (job) {
      if (!job.done) return draw();
      finish();
    }
    // At rest the order must be of here and now; on the move a moment old, but not too long.
    const fits = geometry() || (order
      && (fast ? order.asked <= most : order.asked === most && order.stamp === stamp));
    const old = shown?.stamp !== stamp || (!fast && shown.fast) || shown.order !== order?.stamp;
    if (fits && old) {
      begin(fast);
      draw();
    } else if (held.size) wake();
  }

  function sort(count) {
    const request = `${stamp} ${count}`;
    if (sorting || request === asked) return;
    [asked, sorting] = [request, true];
    const { eye, ahead } = basis(orbit);
    worker.postMessage({ sort: { eye, ahead, near: near(), count, off: !inputs.sort.checked,
      stamp } });
  }

  const near = () => scene.near_m ?? 0.2;

  function begin(fast) {
    const small = fast && !geometry() && !inputs.whole.checked
      ? clamped(Math.sqrt(quality), COARSEST, 1) : 1;
    const size = [canvas.width, canvas.height].map((side) => Math.round(small * side));
    job = { stamp, fast, orbit, order: order?.stamp, count: order?.count, began: performance.now(),
      range: range() };
    const way = Math.max(0, MODES.indexOf(mode));
    card.start({ width: size[0], height: size[1], mode: way,
      camera: { ...basis(orbit), focal: viewOf(orbit, ...size).focal },
      background: background(), crop, shape: { Points: 'points', Wireframe: 'lines' }[mode]
        ?? (info.faces ? 'triangles' : 'points'),
      uniforms: { degree: Number(inputs.degree.value), scale: scale(),
        near: geometry() ? 0.005 * orbit.radius : near(), dim: inputs.half.checked ? 0.5 : 1,
        selecting: Boolean(scene.selected), range: job.range, widest: fast ? WIDEST : 100,
        point_px: Math.max(1, 3 * scale() * (canvas.width / width)) } });
  }

  function draw() {
    const now = performance.now();
    const took = now - job.stepped; // for the slices before
    if (took > 2 * BUDGET_MS) pace = Math.max(1, pace >> 1);
    else if (took < BUDGET_MS) pace *= 2;
    job.stepped = now;
    job.done = card.advance(job.fast ? Infinity : pace);
    poll();
  }

  function finish() {
    const now = performance.now();
    // From picture to picture when one followed the other, which holds the sorting in it.
    times = [...times, job.began - finished < 50 ? now - finished : now - job.began].slice(-6);
    const ratio = clamped(BUDGET_MS / (now - job.began), 0.25, 2);
    if (job.fast || ratio < 1) quality = clamped(quality * ratio ** 0.7, 1 / 256, 1);
    finished = now;
    card.present();
    shown = job;
    job = null;
    pictures++;
    if (shooting && !shown.fast) save();
    const since = Math.round(performance.timeOrigin + now - arrived);
    canvas.dataset.firstMs ??= String(since); // for measurements, as the next ones
    if (!shown.fast) canvas.dataset.wholeMs ??= String(since);
    canvas.dataset.pictures = String(pictures);
    canvas.dataset.state = shown.fast ? 'moving' : 'rest';
    tellCounts();
    paintOver();
  }

  function tellCounts() {
    const rate = (1000 * times.length) / times.reduce((a, b) => a + b, 0);
    const { n, all, faces } = info;
    const what = kind() === 'splats'
      ? `${counted(shown.count)}${shown.count === all ? '' : ` of ${counted(all)}`} splats`
      : kind() === 'mesh' ? `${counted(faces)} triangles` : `${counted(n)} points`;
    say(`${what} · ${rate < 9.5 ? rate.toFixed(1) : Math.round(rate)} frames/s`
      + `${scene.note ? ` · ${scene.note}` : ''}`);
    const legend = find('.spl-legend');
    const ends = { Depth: shown.range.map((z) => `${short(z)} m`), Opacity: ['1', '0'] }[mode];
    legend.hidden = !ends;
    if (ends) [...legend.querySelectorAll('span')].forEach((s, k) => { s.textContent = ends[k]; });
  }

  function say(text) {
    if (find('.spl-note').textContent !== text) find('.spl-note').textContent = text;
  }

  /** Depths at the colour bar's ends. */
  function range() {
    if (!geometry()) return [order.near, order.far];
    const { own } = viewOf(orbit, width, height);
    const depths = corners(info.bounds).map((corner) => own(corner)[2]);
    return [Math.max(near(), Math.min(...depths)), Math.max(...depths)];
  }

  const corners = ([low, high]) => [0, 1, 2, 3, 4, 5, 6, 7].map((bits) =>
    [0, 1, 2].map((k) => ((bits >> k) & 1 ? high[k] : low[k])));

  function save() {
    shooting = false;
    card.present(); // a canvas may be read in the moment it was drawn, not later
    canvas.toBlob((blob) => {
      const link = Object.assign(document.createElement('a'), { download: 'sightline-view.png',
        href: URL.createObjectURL(blob) });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  }


  // ------------------------------------------------------------ lines over the picture

  let drawn = []; // of each camera in sight its six places in css px and its depth, else null
  let hovered = -1; // the camera under the pointer or stepped to

  /** Cameras, crop and the picked pixel, where they are on the picture that is shown. */
  function paintOver() {
    const ink = over.getContext('2d');
    const ratio = over.width / width;
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, width, height);
    drawn = [];
    if (!shown) return;
    const view = viewOf(shown.orbit, width, height);
    const close = 0.02 * shown.orbit.radius;
    const style = getComputedStyle(find('.spl'));
    const colour = (name) => style.getPropertyValue(`--spl-${name}`);
    const stroke = (path, name, thickness, dash = []) => {
      ink.setLineDash([]);
      [ink.strokeStyle, ink.lineWidth, ink.globalAlpha] = [colour('halo'), thickness + 2, 0.5];
      ink.stroke(path);
      ink.setLineDash(dash);
      [ink.strokeStyle, ink.lineWidth, ink.globalAlpha] = [colour(name), thickness, 1];
      ink.stroke(path);
      ink.setLineDash([]);
    };
    const line = (path, a, b) => {
      const ends = cut(view.own(a), view.own(b), close)?.map(view.pixel);
      if (!ends) return;
      path.moveTo(...ends[0]);
      path.lineTo(...ends[1]);
    };
    if (crop) stroke(outline(line), 'line', 1.3);
    drawn = inputs.frusta.checked ? frusta.map((points) => {
      const owns = points.map(view.own);
      if (!owns.every(([, , z]) => z > close)) return null; // the eye is in it or beside it
      return { places: owns.map(view.pixel), depth: owns[0][2] };
    }) : [];
    drawn.forEach((seen, i) => {
      if (!seen) return;
      const path = new Path2D();
      for (const [a, b] of EDGES) {
        path.moveTo(...seen.places[a]);
        path.lineTo(...seen.places[b]);
      }
      const { held } = scene.frusta[i];
      stroke(path, held ? 'held' : 'learned', i === hovered ? 3 : 1.3, held ? [5, 3] : []);
    });
    if (picked) {
      const [x, y] = [(picked.x + 0.5) / ratio, (picked.y + 0.5) / ratio];
      const path = new Path2D();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        path.moveTo(x + 4 * dx, y + 4 * dy);
        path.lineTo(x + 13 * dx, y + 13 * dy);
      }
      stroke(path, 'line', 1.5);
    }
    placeTip();
  }

  /** The crop's edges, or three great circles of its sphere. */
  function outline(line) {
    const path = new Path2D();
    if (crop.kind === 'box') {
      const ends = corners([crop.low, crop.high]);
      for (const [a, b] of BOX_EDGES) line(path, ends[a], ends[b]);
      return path;
    }
    const [n, radius] = [48, crop.high[0]];
    for (const axis of [0, 1, 2]) {
      const ring = Array.from({ length: n + 1 }, (_, k) => {
        const turn = (2 * Math.PI * k) / n;
        const own = [0, 0, 0];
        own[(axis + 1) % 3] = radius * Math.cos(turn);
        own[(axis + 2) % 3] = radius * Math.sin(turn);
        return plus(crop.low, own);
      });
      for (let k = 0; k < n; k++) line(path, ring[k], ring[k + 1]);
    }
    return path;
  }

  /** The camera whose lines pass nearest to a place, the nearer one of two; or -1. */
  function cameraAt(css, within) {
    let best = [within, Infinity, -1];
    drawn.forEach((seen, i) => {
      if (!seen) return;
      const off = Math.min(...EDGES.map(([a, b]) => toLine(css, seen.places[a], seen.places[b])));
      if (off < best[0] - 0.5 || (off < best[0] + 0.5 && off < within && seen.depth < best[1])) {
        best = [off, seen.depth, i];
      }
    });
    return best[2];
  }

  function hover(index) {
    if (index === hovered) return;
    hovered = index;
    over.toggleAttribute('data-over', hovered >= 0);
    paintOver();
  }

  function placeTip() {
    tip.hidden = hovered < 0;
    if (hovered < 0) return;
    const { label, held } = scene.frusta[hovered];
    const text = (label || `camera ${hovered + 1}`) + (held ? ', held out' : '');
    if (tip.textContent !== text) tip.textContent = text;
    const [x, y] = drawn[hovered]?.places[0] ?? [width / 2, 0]; // out of sight, named all the same
    const { offsetWidth: w, offsetHeight: h } = tip;
    tip.style.left = `${clamped(x - w / 2, 4, Math.max(4, width - w - 4))}px`;
    tip.style.top = `${clamped(y - h - 10, 4, Math.max(4, height - h - 4))}px`;
  }

  // ------------------------------------------------------------ moving

  let tellTimer = 0;
  const held = new Set(); // keys of flying that are down
  let flewAt = 0;
  let hurry = false;

  function move(change) {
    orbit = settled({ ...orbit, ...change });
    picked = null;
    clearTimeout(tellTimer);
    tellTimer = setTimeout(() => emit('moved', orbit), TELL_MS);
    changed(true);
  }

  function settled(from) {
    const around = from.azimuth_deg - 360 * Math.round(from.azimuth_deg / 360);
    const [low, high] = REACH.map((k) => k * (scene.start ?? from).radius);
    const { target, up, fov_deg } = from;
    return { azimuth_deg: around, elevation_deg: clamped(from.elevation_deg, -STEEPEST, STEEPEST),
      radius: clamped(from.radius, low, high), target, up, fov_deg };
  }

  const turn = (azimuth, elevation) => move({ azimuth_deg: orbit.azimuth_deg + azimuth,
    elevation_deg: orbit.elevation_deg + elevation });
  const zoom = (factor) => move({ radius: orbit.radius / factor });
  /** Moves what is seen at the target's depth by so many css px. */
  const pan = ([dx, dy]) => {
    const { right, down, focal } = viewOf(orbit, width, height);
    const away = -orbit.radius / focal;
    move({ target: plus(plus(orbit.target, right, dx * away), down, dy * away) });
  };
  const reset = () => orbit && move(start());

  /** Moves eye and target along while a key of flying is down. */
  function fly(now) {
    const seconds = Math.min(0.1, (now - flewAt) / 1000);
    flewAt = now;
    if (!held.size || !(seconds > 0)) return;
    const { right, down, ahead } = basis(orbit);
    const far = SPEED * orbit.radius * seconds * (hurry ? 3 : 1);
    const go = (more, less) => far * (held.has(more) - held.has(less));
    const side = plus(orbit.target, right, go('KeyD', 'KeyA'));
    move({ target: plus(plus(side, down, go('KeyQ', 'KeyE')), ahead, go('KeyW', 'KeyS')) });
  }

  /** To where a camera stood, looking where it looked. */
  function jump(index) {
    hover(-1);
    const { c2w, K, size } = scene.frusta[index];
    const [eye, ahead] = [[3, 7, 11], [2, 6, 10]].map((places) => places.map((k) => c2w[k]));
    const first = start();
    const away = dot(plus(first.target, eye, -1), ahead); // to what the scene is about, if ahead
    const radius = away > 0.05 * first.radius ? away : first.radius;
    move(orbitAt(eye, ahead, radius, first.up, 2 * degrees(Math.atan(size[0] / 2 / K[0]))));
    emit('jumped', { frustum: index, orbit });
  }

  function pick([x, y]) {
    const px = (css, side, all) => clamped(Math.floor((css * all) / side), 0, all - 1);
    picked = { x: px(x, width, canvas.width), y: px(y, height, canvas.height) };
    emit('picked', { ...picked, width: canvas.width, height: canvas.height, orbit,
      settings: { background: background(), sh_degree: Number(inputs.degree.value),
        scale: scale() } });
    paintOver();
  }

  // ------------------------------------------------------------ mouse, pen and fingers

  const fingers = new Map(); // pointer id → css place, of each button or finger that is down
  let press = null; // {at, pans, dragged}
  let scrolled = false; // the page was scrolled and the pointer hasn't moved since

  const placeOf = ({ clientX, clientY }) => {
    const { left, top } = over.getBoundingClientRect();
    return [clientX - left, clientY - top];
  };
  const apart = ([a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
  const shift = (from, to) => [to[0] - from[0], to[1] - from[1]];
  const middleOf = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

  over.onpointerdown = (event) => {
    if (!orbit) return;
    over.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, placeOf(event));
    const pans = event.button > 0 || event.shiftKey || event.ctrlKey;
    press = { at: placeOf(event), pans, dragged: fingers.size > 1 };
  };
  over.onpointermove = (event) => {
    if (!orbit) return;
    const css = placeOf(event);
    const old = fingers.get(event.pointerId);
    if (event.movementX || event.movementY) scrolled = false;
    if (!old) return hover(cameraAt(css, NEAR[event.pointerType] ?? NEAR.mouse));
    const before = [...fingers.values()];
    fingers.set(event.pointerId, css);
    const now = [...fingers.values()];
    if (now.length === 2) {
      zoom(apart(now) / apart(before));
      pan(shift(middleOf(before), middleOf(now)));
    } else if (now.length === 1) {
      const from = press.dragged ? old : press.at;
      const slack = SLACK[event.pointerType] ?? SLACK.mouse;
      if (!press.dragged && Math.hypot(...shift(from, css)) <= slack) return;
      press.dragged = true;
      over.dataset.dragged = '';
      hover(-1);
      const [dx, dy] = shift(from, css);
      if (press.pans) pan([dx, dy]);
      else turn((-ACROSS * dx) / width, (ACROSS * dy) / width);
    }
  };
  over.onpointerup = over.onpointercancel = (event) => {
    const known = fingers.delete(event.pointerId);
    if (!known || fingers.size) return;
    delete over.dataset.dragged;
    if (event.type !== 'pointerup' || press.dragged || press.pans) return;
    const index = cameraAt(placeOf(event), NEAR[event.pointerType] ?? NEAR.mouse);
    if (index >= 0) jump(index);
    else pick(placeOf(event));
  };
  over.onpointerleave = (event) => {
    if (event.pointerType === 'mouse') hover(-1);
  };
  over.oncontextmenu = (event) => event.preventDefault();
  over.onmousedown = (event) => {
    if (event.button === 1) event.preventDefault(); // or the page would begin to scroll by itself
  };
  over.addEventListener('wheel', (event) => {
    if (!orbit || (scrolled && !event.ctrlKey)) return; // a page scrolled under a pointer at rest
    event.preventDefault();
    const ticks = clamped(event.deltaY * (event.deltaMode ? 30 : 1), -200, 200);
    zoom(Math.exp(-ticks * (event.ctrlKey ? 0.01 : 0.0015)));
  }, { passive: false });
  const onScroll = () => { scrolled = true; };
  window.addEventListener('scroll', onScroll, { capture: true, passive: true });
  // Up and down, one finger scrolls the page; two are always ours.
  for (const type of ['touchstart', 'touchmove']) {
    over.addEventListener(type, (event) => {
      if (event.touches.length > 1) event.preventDefault();
    }, { passive: false });
  }

  // ------------------------------------------------------------ keyboard

  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const step = (by) => {
    const n = frusta.length;
    if (n) hover(hovered < 0 ? (by > 0 ? 0 : n - 1) : (hovered + by + n) % n);
  };
  const keys = {
    '+': () => zoom(CLOSER), '=': () => zoom(CLOSER), '-': () => zoom(1 / CLOSER), Home: reset,
    '[': () => step(-1), ']': () => step(1), Enter: () => hovered >= 0 && jump(hovered),
    p: () => pick([width / 2, height / 2]), P: () => pick([width / 2, height / 2]),
  };

  over.onkeydown = (event) => {
    if (!orbit || event.ctrlKey || event.metaKey || event.altKey) return;
    const way = ways[event.key];
    hurry = event.shiftKey;
    // The eye goes where the arrow points, so what is seen goes the other way.
    if (way && event.shiftKey) pan([-0.05 * width * way[0], 0.05 * width * way[1]]);
    else if (way) turn(STEP * way[0], STEP * way[1]);
    else if (/^Key[WASDQE]$/.test(event.code)) {
      if (!held.size) flewAt = performance.now();
      held.add(event.code);
      wake();
    } else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  };
  over.onkeyup = (event) => {
    hurry = event.shiftKey;
    held.delete(event.code);
  };
  over.onblur = () => {
    held.clear();
    hover(-1);
  };

  // ------------------------------------------------------------ controls

  function setMode(name) {
    mode = name;
    describe();
    changed();
  }

  const modes = find('.spl-modes');
  modes.onclick = ({ target }) => target.dataset.mode && setMode(target.dataset.mode);
  modes.onkeydown = (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const names = WAYS[kind()];
    setMode(names[(names.indexOf(mode) + by + names.length) % names.length]);
    modes.querySelector('[aria-checked=true]').focus();
  };

  /** Crops to a box or sphere around the scene, or not; tells the server if a person asked. */
  function setCrop(kindOf, asked = true) {
    inputs.crop.value = kindOf;
    const numbers = find('.spl-numbers');
    numbers.innerHTML = '';
    crop = null;
    if (kindOf && info?.bounds) {
      const [low, high] = info.bounds;
      const middle = plus(low, high).map((v) => v / 2);
      const radius = Math.hypot(...plus(high, low, -1)) / 2;
      crop = kindOf === 'box' ? { kind: kindOf, low: [...low], high: [...high] }
        : { kind: kindOf, low: middle, high: [radius, radius, radius] };
      const fields = kindOf === 'box' ? ['low', 'high'].flatMap((end) => ['x', 'y', 'z'].map(
        (axis, k) => [`${axis} ${end === 'low' ? 'from' : 'to'}`, end, k]))
        : [['x', 'low', 0], ['y', 'low', 1], ['z', 'low', 2], ['radius', 'high', 0]];
      for (const [text, end, k] of fields) {
        const label = Object.assign(document.createElement('label'), { textContent: `${text} ` });
        const field = Object.assign(document.createElement('input'), { type: 'number', step: 'any',
          value: Number(crop[end][k].toPrecision(4)) });
        field.step = String(10 ** Math.floor(Math.log10(radius / 10 || 1)));
        field.oninput = () => {
          if (!Number.isFinite(field.valueAsNumber)) return;
          crop[end][k] = field.valueAsNumber;
          tellCrop();
          changed(true);
        };
        label.append(field);
        numbers.append(label);
      }
    }
    if (!asked) return;
    tellCrop();
    changed();
  }

  let cropTimer = 0;
  function tellCrop() {
    clearTimeout(cropTimer);
    cropTimer = setTimeout(() => emit('cropped', !crop ? null : crop.kind === 'box'
      ? { kind: 'box', low: crop.low, high: crop.high }
      : { kind: 'sphere', centre: crop.low, radius: crop.high[0] }), TELL_MS);
  }

  inputs.crop.onchange = () => setCrop(inputs.crop.value);
  for (const name of ['count', 'degree', 'scale']) {
    inputs[name].oninput = () => {
      describe();
      changed(true);
    };
  }
  for (const name of ['half', 'sort', 'white', 'whole', 'frusta']) {
    inputs[name].onchange = () => {
      if (name === 'frusta') hover(-1);
      changed();
    };
  }
  const actions = {
    reset,
    flip: () => {
      if (!orbit) return;
      upside = !upside;
      move(flipped(orbit));
    },
    shoot: () => {
      shooting = true;
      changed();
    },
    fill: () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else {
        find('.spl-body').requestFullscreen?.().catch(() => say('The browser refuses full screen.'));
      }
    },
  };
  for (const button of home.querySelectorAll('[data-do]')) {
    button.onclick = actions[button.dataset.do];
  }
  find('.spl-body').onfullscreenchange = () => {
    const full = document.fullscreenElement === find('.spl-body');
    find('[data-do=fill]').setAttribute('aria-pressed', String(full));
    resize();
  };

  canvas.addEventListener('webglcontextlost', (event) => {
    event.preventDefault();
    say('The graphics card was reset. Loading again …');
    forget();
  });
  canvas.addEventListener('webglcontextrestored', () => {
    card = null;
    if (scene?.url) load();
  });
  document.addEventListener('visibilitychange', wake);
  new ResizeObserver(resize).observe(find('.spl'));
  new IntersectionObserver(([entry]) => {
    inSight = entry.isIntersecting;
    wake();
  }).observe(home);

  return { show };
}
