// A scene that turns under the pointer: a picture from the server, and lines drawn here over it.
//
// The camera lives here, as an orbit (orbit_camera.js). The server makes the same camera of it, so a
// picture and the lines over it fit. Lines follow the pointer at once; pictures come when they come.

const { search } = new URL(import.meta.url); // the version: see base.py
const [
  { BOX_EDGES, clamped, corners, lineIn, plus, same, settled, viewOf }, { Frusta }, { steer },
] = await Promise.all(['orbit_camera', 'frusta', 'steering']
  .map((name) => import(`./${name}.js${search}`)));

const TALLEST = 560; // css px
const EVERY_MS = 120; // between two `turned` events at least
const AHEAD = 2; // `turned` events that no picture has answered yet, at most: or a slow server queues
const PATIENCE_MS = 1000; // then no picture is expected any more
const REACH = [0.02, 20]; // of the radius, times the one at the start
const LAYERS = ['Picture', 'Cameras', 'Box', 'Points', 'Ray'];
const HINT = matchMedia('(pointer: coarse)').matches
  ? 'One finger turns the scene, two move and zoom it. Tap a camera to pick it.'
  : 'Drag to turn, Shift-drag to move, wheel to zoom. Click a camera to pick it.';
const KEYS = 'Arrow keys walk around it, with Shift they move it. Plus and minus zoom, Home goes '
  + 'back to the start. The brackets [ and ] step through the cameras, Enter picks one.';

const STYLE = `
.orb { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4;
  --orb-learned: #0072b2; --orb-held: #e69f00; --orb-points: #007a5a; --orb-ray: #b0478a;
  --orb-box: #1f2937; --orb-halo: #ffffff; --orb-dark: #1a1200; }
.dark .orb { color-scheme: dark; --orb-learned: #56b4e9; --orb-held: #f0ab1a;
  --orb-points: #35c99b; --orb-ray: #f0a3cf; --orb-box: #f3f4f6; --orb-halo: #000000; }
.orb-stage { position: relative; border-radius: 4px; background: var(--background-fill-secondary, #f4f4f5);
  box-shadow: 0 0 0 1px var(--border-color-primary, #d4d4d8); }
.orb canvas { display: block; cursor: grab; touch-action: pan-y; user-select: none;
  border-radius: 4px; -webkit-tap-highlight-color: transparent; }
.orb canvas[data-over] { cursor: pointer; }
.orb canvas[data-dragged] { cursor: grabbing; }
.orb canvas:focus-visible, .orb button:focus-visible, .orb input:focus-visible {
  outline: 2px solid var(--body-text-color, #1f2937); outline-offset: 2px; }
.orb-note, .orb-tip { position: absolute; pointer-events: none; padding: 2px 8px; border-radius: 4px;
  color: #fff; background: rgba(0, 0, 0, 0.72); font-size: 13px; white-space: nowrap;
  max-width: calc(100% - 12px); overflow: hidden; text-overflow: ellipsis; }
.orb-note { left: 6px; bottom: 6px; font-variant-numeric: tabular-nums; }
.orb-tip { font-weight: 700; }
.orb-bar { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: center; margin-top: 8px; }
.orb .orb-bar label { display: inline-flex; align-items: center; gap: 6px; min-height: 32px;
  margin: 0; cursor: pointer; }
.orb .orb-bar input { appearance: auto; width: 16px; height: 16px; margin: 0;
  accent-color: var(--color-accent, #2563eb); }
.orb button { min-height: 32px; margin: 0; padding: 3px 12px; border-radius: 6px; font: inherit;
  color: inherit; cursor: pointer; border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.orb-foot { display: flex; flex-wrap: wrap; gap: 2px 16px; margin-top: 4px; font-size: 13px; }
.orb-foot span { display: inline-flex; align-items: center; gap: 6px; }
.orb-foot i { width: 20px; border-top: 3px solid var(--orb-learned); }
.orb-foot .orb-held i { border-top: 3px dashed var(--orb-held); }
.orb [hidden] { display: none !important; }
`;

function unpacked({ xyz }) {
  const bytes = Uint8Array.from(atob(xyz), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 4 }, (_, k) => view.getFloat32(4 * k, true));
}

// ---------------------------------------------------------------- the part of the page

export function mount(home, { emit, url }) {
  home.innerHTML = `<style>${STYLE}</style><div class="orb"><div class="orb-body" hidden>
    <div class="orb-stage"><canvas tabindex="0" role="application"></canvas>
      <div class="orb-note" hidden></div><div class="orb-tip" role="status" hidden></div></div>
    <div class="orb-bar" role="group" aria-label="What is shown">${LAYERS.map((layer) =>
    `<label><input type="checkbox" data-layer="${layer}" checked>${layer}</label>`).join('')}
      <button type="button">Reset view</button></div>
    <div class="orb-foot"><span class="orb-learned"><i></i>learned from</span>
      <span class="orb-held"><i></i>held out</span><span>${HINT}</span></div></div>
    <div class="orb-empty"></div></div>`;
  const find = (selector) => home.querySelector(selector);
  const canvas = find('canvas');
  const stage = find('.orb-stage');
  const frusta = new Frusta(canvas, find('.orb-tip'), redraw);
  const boxes = Object.fromEntries(LAYERS.map((layer) => [layer, find(`[data-layer=${layer}]`)]));

  const dots = document.createElement('canvas');

  let scene = null; // all that values with this key have said
  let orbit = null;
  let points = null; // Float32Array, x y z x y z …
  let picture = null; // loaded
  let asked = 0; // counts pictures, so that one loaded too late isn't shown over a newer one
  let got = 0;
  let width = 0; // css px
  let height = 0;
  let chosen = -1; // the camera picked last
  let waiting = false;

  const room = () => Math.floor(home.getBoundingClientRect().width);
  const on = (layer) => boxes[layer].checked;
  const there = {
    Picture: () => scene.image, Cameras: () => frusta.cameras.length, Box: () => scene.box,
    Points: () => points, Ray: () => scene.ray,
  };

  function show(value) {
    find('.orb-body').hidden = !value;
    find('.orb-empty').textContent = value ? '' : 'No scene yet.';
    if (!value) {
      scene = null;
      return;
    }
    if (!scene || value.key !== scene.key) {
      [scene, orbit, points, picture] = [{}, null, null, null];
      [got, sent, untold] = [asked, [], false];
      prepare([]);
      if (!value.start) emit('missed', { key: value.key });
    }
    Object.assign(scene, value);
    if (!orbit && scene.start) go(scene.start);
    if ('image' in value) load(value.image, value.image_for);
    if ('points' in value) points = value.points ? unpacked(value.points) : null;
    if ('frusta' in value) prepare(value.frusta ?? []);
    for (const layer of LAYERS) boxes[layer].parentElement.hidden = !there[layer]();
    find('.orb-learned').hidden = !scene.frusta?.some(({ held }) => !held);
    find('.orb-held').hidden = !scene.frusta?.some(({ held }) => held);
    find('.orb-note').textContent = scene.note ?? '';
    find('.orb-note').hidden = !scene.note;
    const held = scene.frusta?.filter((frustum) => frustum.held).length ?? 0;
    canvas.setAttribute('aria-label', `The scene in 3-D, with ${frusta.cameras.length} cameras, `
      + `${held} of them held out. ${KEYS}`);
    resize();
  }

  function prepare(list) {
    const middle = scene.box ? plus(scene.box[0], scene.box[1]).map((v) => v / 2)
      : scene.start?.target ?? [0, 0, 0];
    frusta.replace(list, middle);
    chosen = -1;
  }

  function load(address, shows) {
    const number = ++asked;
    if (!address) {
      [picture, got] = [null, number];
      return;
    }
    const loading = new Image();
    loading.onload = () => {
      if (number <= got) return;
      [picture, got] = [{ image: loading, shows }, number];
      answered(shows);
      redraw();
    };
    loading.src = url(address);
  }

  function resize() {
    if (!scene || !room()) return;
    const aspect = scene.aspect > 0 ? scene.aspect : 1;
    width = Math.min(room(), Math.round(TALLEST * aspect));
    height = Math.max(1, Math.round(width / aspect));
    const ratio = window.devicePixelRatio || 1;
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    for (const part of [canvas, stage]) {
      part.style.width = `${width}px`;
      part.style.height = `${height}px`;
    }
    redraw();
  }

  // ------------------------------------------------------------ moving

  let untold = false; // the server doesn't know where the camera is
  let again = false; // it was told twice where the camera came to rest
  let sent = []; // [{at, orbit}]: told and not yet answered by a picture
  let told = -Infinity; // when, ms
  let timer = 0;

  /** Draws the moved camera at once, and tells the server as soon as it may. */
  function move(change) {
    go({ ...orbit, ...change });
    [untold, again] = [true, false];
    tell();
    redraw();
  }

  /** Tells where the camera is unless that was just done or the server is behind; then later. */
  function tell() {
    clearTimeout(timer);
    const now = performance.now();
    sent = sent.filter(({ at }) => now - at < PATIENCE_MS);
    // Requests may overtake each other, and then the last picture isn't the one of the last place.
    if (!untold && !again && !sent.length && isLate()) [untold, again] = [true, true];
    if (untold && sent.length < AHEAD && now - told >= EVERY_MS) {
      emit('turned', orbit);
      sent.push({ at: now, orbit });
      [untold, told] = [false, now];
    }
    if (untold || sent.length) timer = setTimeout(tell, EVERY_MS);
  }

  const isLate = () => Boolean(orbit && picture?.shows && !same(picture.shows, orbit));

  /** A picture has come; it shows this orbit, if that is known. */
  function answered(shows) {
    const k = shows ? sent.findIndex((one) => same(one.orbit, shows)) : 0;
    sent.splice(0, k + 1);
    tell();
  }

  function go(to) {
    orbit = settled(to, REACH.map((k) => k * scene.start.radius));
  }

  const reset = () => orbit && move(scene.start);

  // ------------------------------------------------------------ drawing

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (scene && width && home.isConnected) paint();
    });
  }

  function paint() {
    const ratio = window.devicePixelRatio || 1;
    if (Math.round(width * ratio) !== canvas.width) return resize(); // moved to another screen
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (picture && on('Picture')) {
      context.imageSmoothingQuality = 'high';
      context.drawImage(picture.image, 0, 0, width, height);
    }
    canvas.dataset.late = String(isLate());
    if (!orbit) return;
    const style = getComputedStyle(find('.orb'));
    const colour = (name) => style.getPropertyValue(`--orb-${name}`);
    const view = viewOf(orbit, width, height);
    const near = 0.02 * orbit.radius;
    // A halo of the opposite brightness keeps a line visible on any picture.
    const stroke = (path, name, thickness, alpha = 1) => {
      context.strokeStyle = colour(name === 'held' ? 'dark' : 'halo');
      context.lineWidth = thickness + 2;
      context.globalAlpha = alpha * 0.6;
      context.stroke(path);
      if (name === 'held') context.setLineDash([5, 3]);
      context.strokeStyle = colour(name);
      context.lineWidth = thickness;
      context.globalAlpha = alpha;
      context.stroke(path);
      context.setLineDash([]);
      context.globalAlpha = 1;
    };
    const line = lineIn(view, near);
    if (scene.box && on('Box')) paintBox(context, view, near, line, stroke, style);
    if (points && on('Points')) paintPoints(context, view, near, colour('points'));
    paintCameras(context, view, near, stroke, colour);
    if (scene.ray && on('Ray')) paintRay(context, view, near, line, stroke, colour);
    frusta.placeTip(width, height);
  }

  function paintBox(context, view, near, line, stroke, style) {
    const ends = corners(scene.box);
    const away = ends.map((end) => view.own(end)[2]);
    const farthest = away.indexOf(Math.max(...away));
    const [front, back] = [new Path2D(), new Path2D()];
    for (const [a, b] of BOX_EDGES) {
      line(a === farthest || b === farthest ? back : front, ends[a], ends[b]);
    }
    stroke(back, 'box', 1, 0.4);
    stroke(front, 'box', 1.2, 0.85);
    context.font = `700 13px ${style.fontFamily}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.lineWidth = 3;
    context.lineJoin = 'round';
    ['x', 'y', 'z'].forEach((name, k) => { // at the end of each edge from the low corner
      const [low, high] = [ends[0], ends[1 << k]];
      const own = view.own(plus(high, plus(high, low, -1), 0.06));
      if (!(own[2] > near)) return;
      context.strokeStyle = style.getPropertyValue('--orb-halo');
      context.fillStyle = style.getPropertyValue('--orb-box');
      context.strokeText(name, ...view.pixel(own));
      context.fillText(name, ...view.pixel(own));
    });
  }

  // Thousands of small rectangles are slow to fill, so the dots are set in one block of pixels.
  function paintPoints(context, { own, pixel }, near, colour) {
    const [w, h] = [canvas.width, canvas.height];
    if (dots.width !== w || dots.height !== h) [dots.width, dots.height] = [w, h];
    const ink = dots.getContext('2d', { willReadFrequently: true });
    const block = new ImageData(w, h);
    const cells = new Uint32Array(block.data.buffer);
    const [red, green, blue] = colour.match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16));
    const value = ((220 << 24) | (blue << 16) | (green << 8) | red) >>> 0; // opacity 220 of 255
    const scale = w / width;
    const side = Math.round(2 * scale); // of a dot, in device px
    for (let i = 0; i < points.length; i += 3) {
      const at = own([points[i], points[i + 1], points[i + 2]]);
      if (!(at[2] > near)) continue;
      const [left, top] = pixel(at).map((css) => Math.round(css * scale - side / 2));
      if (!(left >= 0 && top >= 0 && left + side <= w && top + side <= h)) continue;
      for (let y = top; y < top + side; y++) cells.fill(value, y * w + left, y * w + left + side);
    }
    ink.putImageData(block, 0, 0);
    context.drawImage(dots, 0, 0, width, height);
  }

  function paintCameras(context, view, near, stroke, colour) {
    if (on('Cameras')) frusta.look(view, near);
    else frusta.hide();
    const { drawn } = frusta;
    const paint = (indices, thickness, alpha) => {
      for (const name of ['learned', 'held']) {
        const [lines, panes] = [new Path2D(), new Path2D()];
        for (const i of indices) {
          const seen = drawn[i];
          if (!seen || Boolean(frusta.cameras[i].held) !== (name === 'held')) continue;
          frusta.trace(lines, i);
          seen.places.slice(1, 5).forEach((place, k) => panes[k ? 'lineTo' : 'moveTo'](...place));
          panes.closePath();
        }
        context.globalAlpha = 0.16 * alpha;
        context.fillStyle = colour(name);
        context.fill(panes);
        stroke(lines, name, thickness, alpha);
      }
    };
    const all = [...drawn.keys()];
    paint(all.filter((i) => drawn[i]?.depth > orbit.radius), 1.5, 0.6); // beyond the target
    paint(all.filter((i) => !(drawn[i]?.depth > orbit.radius)), 1.5, 1);
    paint(new Set([chosen, frusta.over]), 3.5, 1);
  }

  function paintRay(context, { own, pixel }, near, line, stroke, colour) {
    const path = new Path2D();
    line(path, scene.ray.from, scene.ray.to);
    stroke(path, 'ray', 2);
    for (const [x, y, z, weight] of scene.ray.samples ?? []) {
      const at = own([x, y, z]);
      if (!(at[2] > near)) continue;
      context.beginPath();
      context.arc(...pixel(at), 2 + 6 * Math.sqrt(clamped(weight, 0, 1)), 0, 2 * Math.PI);
      context.globalAlpha = 0.35 + 0.65 * clamped(weight, 0, 1);
      context.fillStyle = colour('ray');
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = colour('halo');
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  // ------------------------------------------------------------ hands

  function pick(index) {
    frusta.hover(index);
    if (index < 0) return;
    chosen = index;
    emit('picked', { frustum: index });
    redraw();
  }

  const step = (by) => on('Cameras') && frusta.step(by);
  steer(canvas, {
    view: () => ({ orbit, width, height }), move, reset, frusta, click: pick,
    keys: { '[': () => step(-1), ']': () => step(1), Enter: () => pick(frusta.over),
      Escape: () => frusta.hover(-1) },
  });
  canvas.ondblclick = reset;
  find('button').onclick = reset;
  for (const layer of LAYERS) {
    boxes[layer].onchange = () => {
      if (layer === 'Cameras') frusta.hover(-1);
      redraw();
    };
  }
  new MutationObserver(redraw).observe(document.body, { attributeFilter: ['class'] }); // light, dark
  new ResizeObserver(resize).observe(home);

  return { show };
}
