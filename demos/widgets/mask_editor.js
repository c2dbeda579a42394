// A picture, and over it what a person paints to be filled: a bitmap in the picture's own pixels.
//
// There are two frames of coordinates: pixels of the picture, and CSS pixels of the stage. `toCss`
// and `toPicture` make the only link between them: css = view + scale * picture. Shapes are filled
// row by row, and a pixel belongs to a shape if its centre does: no pixel is ever half painted.
// Three layers lie on the stage: the picture, the mask as a film made from the bitmap for just the
// device pixels that are seen, and the outlines. A stroke touches only the film under it.

const TALLEST = 560; // css px
const LOWEST = 160;
const CLOSEST = 40; // css px per pixel of the picture, at most
const STEP = 1.5; // zoom of one press
const GROWTH = 1.2; // of the brush, one press
const REST_MS = 250; // a wheel that has just zoomed out doesn't at once scroll the page
const HISTORY = 64e6; // bytes of undo
const OPACITY = 0.6;
const TOOLS = [
  ['brush', 'Brush', 'Paint what is to be filled; the right button erases (B)'],
  ['eraser', 'Eraser', 'Take away what was painted (E)'],
  ['rectangle', 'Rectangle', 'Drag from corner to corner; the right button erases (R)'],
  ['lasso', 'Lasso', 'Draw around what is to be filled; the right button erases (L)'],
];
const EDITS = [
  ['undo', 'Undo', 'Undo (Ctrl+Z)'],
  ['redo', 'Redo', 'Redo (Ctrl+Shift+Z)'],
  ['clear', 'Clear', 'Fill nothing'],
  ['invert', 'Invert', 'Fill what is kept now, and keep the rest'],
];
const ZOOMS = [['out', '−', 'Zoom out (−)'], ['fit', 'Fit', 'Show the whole picture (0)'],
  ['in', '+', 'Zoom in (+)']];

const STYLE = `
.me { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4; }
.dark .me { color-scheme: dark; }
.me-bar { display: flex; flex-wrap: wrap; gap: 6px 18px; align-items: center; margin-bottom: 8px; }
.me-group { display: flex; gap: 6px; }
.me button { min-height: 32px; min-width: 34px; margin: 0; padding: 3px 10px; border-radius: 6px;
  font: inherit; color: inherit; cursor: pointer; text-transform: none;
  border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.me button[aria-checked=true] { color: var(--background-fill-primary, #fff);
  background: var(--body-text-color, #1f2937); border-color: var(--body-text-color, #1f2937); }
.me button[aria-disabled=true] { color: var(--body-text-color-subdued, #6b7280); cursor: default;
  background: transparent; }
.me .me-bar label { display: inline-flex; gap: 8px; align-items: center; min-height: 32px; margin: 0;
  font-size: inherit; }
.me .me-bar input { margin: 0; accent-color: var(--color-accent, #2563eb); }
.me .me-bar input[type=range] { width: 110px; }
.me .me-bar input[type=checkbox] { appearance: auto; width: 16px; height: 16px; }
.me output { min-width: 4.6em; font-variant-numeric: tabular-nums; }
.me-stage { position: relative; overflow: hidden; border-radius: 4px; cursor: crosshair;
  touch-action: none; user-select: none; -webkit-tap-highlight-color: transparent;
  color: var(--color-accent, #0b6e6e); background: var(--background-fill-secondary, #f4f4f5); }
.me-stage[data-hand] { cursor: grab; }
.me-stage > * { position: absolute; left: 0; top: 0; pointer-events: none; }
.me-stage svg { width: 100%; height: 100%; fill: none; }
.me-dark { stroke: rgba(0, 0, 0, 0.7); stroke-width: 3; }
.me-bright { stroke: #fff; stroke-width: 1; }
.me button:focus-visible, .me-stage:focus-visible, .me input:focus-visible {
  outline: 2px solid var(--body-text-color, #1f2937); outline-offset: 2px; }
.me-words { min-height: 1.4em; margin-top: 6px; font-variant-numeric: tabular-nums; }
.me [hidden] { display: none !important; }
`;

const clamped = (v, low, high) => Math.min(high, Math.max(low, v));

/** Calls row(y, from, to) for the pixels from … to - 1 whose centres lie in a disc. */
export function disc([cx, cy], radius, row) {
  for (let y = Math.ceil(cy - radius - 0.5); y + 0.5 <= cy + radius; y++) {
    const half = Math.sqrt(radius ** 2 - (y + 0.5 - cy) ** 2);
    row(y, Math.ceil(cx - half - 0.5), Math.ceil(cx + half - 0.5));
  }
}

/** The same for a closed line through points; what it encloses twice is outside again. */
export function polygon(points, row) {
  const ys = points.map((point) => point[1]);
  const [top, bottom] = ys.reduce(([a, b], y) => [Math.min(a, y), Math.max(b, y)], [Infinity, -Infinity]);
  for (let y = Math.ceil(top - 0.5); y + 0.5 < bottom; y++) {
    const middle = y + 0.5;
    const crossings = [];
    points.forEach(([bx, by], k) => {
      const [ax, ay] = points.at(k - 1);
      if ((ay <= middle) !== (by <= middle)) {
        crossings.push(ax + ((middle - ay) / (by - ay)) * (bx - ax));
      }
    });
    crossings.sort((a, b) => a - b);
    for (let k = 0; k + 1 < crossings.length; k += 2) {
      row(y, Math.ceil(crossings[k] - 0.5), Math.ceil(crossings[k + 1] - 0.5));
    }
  }
}

/** All that a disc covers on its way from a to b. */
export function stroke(a, b, radius, row) {
  disc(b, radius, row);
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
  if (!length) return;
  disc(a, radius, row);
  const [x, y] = [(radius * (a[1] - b[1])) / length, (radius * (b[0] - a[0])) / length];
  polygon([[a[0] + x, a[1] + y], [b[0] + x, b[1] + y], [b[0] - x, b[1] - y], [a[0] - x, a[1] - y]], row);
}

// A mask travels as its pixels in reading order, 8 a byte, deflated, in base64: see mask_editor.py.
const through = async (bytes, stream) =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
async function packed(bits) {
  const bytes = await through(bits, new CompressionStream('deflate'));
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
const unpacked = (text) => through(
  Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)), new DecompressionStream('deflate'));

export function mount(home, { emit, url, keep }) {
  const buttons = (list, kind, more = '') => list.map(([name, text, title]) => `<button type="button"
    data-${kind}="${name}" title="${title}" aria-label="${kind === 'zoom' ? title : text}" ${more}>${text}</button>`).join('');
  home.innerHTML = `<style>${STYLE}</style><div class="me"><div class="me-body" hidden>
    <div class="me-bar">
      <div class="me-group me-tools" role="radiogroup" aria-label="Tool">${
  buttons(TOOLS, 'tool', 'role="radio"')}</div>
      <label title="Diameter of the brush ([ and ])">size <input type="range" min="0" max="100"
        step="any" aria-label="Diameter of the brush"><output></output></label>
      <label title="See the picture without the mask (M)"><input type="checkbox" checked>show mask</label>
      <div class="me-group" role="group" aria-label="Change the mask">${buttons(EDITS, 'edit')}</div>
      <div class="me-group" role="group" aria-label="Zoom">${buttons(ZOOMS, 'zoom')}</div></div>
    <div class="me-stage" tabindex="0" role="application">
      <canvas class="me-picture"></canvas><canvas class="me-film"></canvas>
      <svg aria-hidden="true"><path class="me-dark"></path><path class="me-bright"></path>
        <circle class="me-dark"></circle><circle class="me-bright"></circle></svg></div>
    <div class="me-words" role="status"></div></div>
    <div class="me-empty">No picture yet.</div></div>`;
  const find = (selector) => home.querySelector(selector);
  const all = (selector) => [...home.querySelectorAll(selector)];
  const stage = find('.me-stage');
  const canvases = [find('.me-picture'), find('.me-film')];
  const [ground, film] = canvases.map((canvas) => canvas.getContext('2d'));
  const slider = find('input[type=range]');
  const shown = find('input[type=checkbox]');

  let data = null; // the value
  let [w, h] = [0, 0]; // px of the picture
  let mask = null; // a byte per pixel: 1 is filled
  let history = []; // the mask after each step, 8 pixels a byte; the first is the one it began with
  let now = 0; // which of them it is now
  let told = null; // the mask as Python has it
  let turn = 0; // counts what changes the mask, for what takes its time and may come too late
  let levels = []; // the picture, and smaller ones of half the sides each
  let [width, height] = [0, 0]; // css px of the stage
  const view = { scale: 0, x: 0, y: 0 }; // css px per pixel, and where the picture's corner is
  let fitted = true;
  let tool = 'brush';
  let size = 0; // px of the picture
  let pointer = null; // css place of the mouse or pen over the stage
  let press = null; // what goes on: {kind: 'pan' | 'pinch'} or {kind: 'draw', tool, erase, points}
  let spaced = false; // the space bar is down
  let stale = true; // the view has changed
  let dirty = null; // [left, top, right, bottom] px of what was painted since the last frame
  let waiting = false;

  const ratio = () => window.devicePixelRatio || 1;
  const room = () => Math.floor(home.getBoundingClientRect().width);
  const fit = () => Math.min(CLOSEST, width / w, height / h);
  const toCss = ([x, y]) => [view.x + view.scale * x, view.y + view.scale * y];
  const toPicture = ([x, y]) => [(x - view.x) / view.scale, (y - view.y) / view.scale];

  // ------------------------------------------------------------ values

  async function show(value) {
    const fresh = value?.key !== data?.key;
    if (data && !fresh && value.mask === told) { // what the person has just painted
      data = value;
      return;
    }
    turn += 1;
    const mine = turn;
    if (!value) {
      [data, press] = [null, null];
      reveal();
      return;
    }
    const bytes = Math.ceil((value.size[0] * value.size[1]) / 8);
    const bits = value.mask ? await unpacked(value.mask) : new Uint8Array(bytes);
    if (mine !== turn) return;
    [data, told, press] = [value, value.mask, null];
    if (fresh) {
      if (value.size.join() !== [w, h].join()) size = Math.round(Math.max(...value.size) / 25);
      [w, h] = value.size;
      [mask, history, fitted] = [new Uint8Array(w * h), [], true];
      load(url(value.image));
    }
    unpackInto(bits);
    commit();
    reveal();
    setSize(size);
    resize();
  }

  function reveal() {
    find('.me-body').hidden = !data;
    find('.me-empty').hidden = !!data;
  }

  function load(address) {
    levels = [];
    const picture = new Image();
    const { key } = data;
    picture.onload = () => {
      if (data?.key !== key) return;
      levels = [picture];
      for (let [x, y] = [w >> 1, h >> 1]; Math.min(x, y) > 200; [x, y] = [x >> 1, y >> 1]) {
        const half = Object.assign(document.createElement('canvas'), { width: x, height: y });
        half.getContext('2d').drawImage(levels.at(-1), 0, 0, x, y);
        levels.push(half);
      }
      redraw();
    };
    picture.src = address;
  }

  function unpackInto(bits) {
    for (let k = 0; k < mask.length; k++) mask[k] = (bits[k >> 3] >> (7 - (k & 7))) & 1;
    touch(0, 0, w, h);
  }

  /** Ends a step; false if it has changed nothing. */
  function commit() {
    const bits = new Uint8Array(Math.ceil(mask.length / 8));
    let count = 0;
    for (let k = 0; k < mask.length; k++) {
      bits[k >> 3] |= mask[k] << (7 - (k & 7));
      count += mask[k];
    }
    if (history.length && history[now].every((byte, k) => byte === bits[k])) return false;
    history = [...history.slice(0, now + 1), bits].slice(-Math.max(10, HISTORY / bits.length));
    now = history.length - 1;
    tellPerson(count);
    return true;
  }

  function tellPerson(count) {
    const share = (100 * count) / mask.length;
    const percent = share.toLocaleString('en', { maximumSignificantDigits: share < 1 ? 1 : 3 });
    find('.me-words').textContent = count
      ? `${count.toLocaleString('en')} px to fill: ${percent} % of the picture`
      : 'Nothing to fill yet: paint over it.';
    find('[data-edit=undo]').setAttribute('aria-disabled', now === 0);
    find('[data-edit=redo]').setAttribute('aria-disabled', now === history.length - 1);
  }

  async function tell() {
    turn += 1;
    const mine = turn;
    const bits = history[now];
    const text = bits.some((byte) => byte) ? await packed(bits) : null;
    if (mine !== turn) return;
    told = text;
    data = { ...data, mask: text, last: added(bits, history[now - 1]) };
    keep(data);
    emit('painted', {});
  }

  /** The box [left, top, right, bottom] px of what is filled in bits and wasn't before; null if
   * nothing is. */
  function added(bits, before) {
    let [left, top, right, bottom] = [w, h, 0, 0];
    for (let k = 0; before && k < mask.length; k++) {
      if (!(((bits[k >> 3] & ~before[k >> 3]) >> (7 - (k & 7))) & 1)) continue;
      const x = k % w;
      const y = (k - x) / w;
      if (x < left) left = x;
      if (x >= right) right = x + 1;
      if (y < top) top = y;
      bottom = y + 1;
    }
    return bottom ? [left, top, right, bottom] : null;
  }

  function travel(steps) {
    if (!history[now + steps]) return;
    now += steps;
    unpackInto(history[now]);
    tellPerson(mask.reduce((a, b) => a + b, 0));
    tell();
  }

  function change(pixel) {
    for (let k = 0; k < mask.length; k++) mask[k] = pixel(mask[k]);
    touch(0, 0, w, h);
    if (commit()) tell();
  }

  function edit(name) {
    cancel();
    ({
      undo: () => travel(-1),
      redo: () => travel(1),
      clear: () => change(() => 0),
      invert: () => change((filled) => 1 - filled),
    })[name]();
  }

  // ------------------------------------------------------------ view

  function resize() {
    if (!data || !room()) return;
    const middle = toPicture([width / 2, height / 2]);
    width = room();
    height = Math.round(clamped((width * h) / w, LOWEST, TALLEST));
    stage.style.width = `${width}px`; // whole numbers, or the browser would stretch it a little
    stage.style.height = `${height}px`;
    for (const canvas of canvases) {
      [canvas.width, canvas.height] = [width, height].map((v) => Math.round(v * ratio()));
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    stage.setAttribute('aria-label', `Picture to paint on, ${w} by ${h} pixels. B, E, R and L choose a `
      + 'tool, brackets its size; plus and minus zoom, 0 shows all; the space bar held drags.');
    if (fitted) whole();
    else look(view.scale, [width / 2, height / 2], middle);
  }

  /** Shows a place of the picture at a place of the stage, as long as the stage's middle is in it. */
  function look(scale, css, place) {
    view.scale = clamped(scale, fit(), Math.max(CLOSEST, fit()));
    fitted = view.scale === fit();
    [['x', width, w], ['y', height, h]].forEach(([axis, extent, side], k) => {
      const long = view.scale * side;
      const corner = fitted ? (extent - long) / 2
        : clamped(css[k] - view.scale * place[k], extent / 2 - long, extent / 2);
      view[axis] = Math.round(corner * ratio()) / ratio(); // at 1:1, pixels meet the screen's
    });
    redraw();
  }

  const whole = () => look(0, [0, 0], [0, 0]);
  const zoom = (factor, css) => look(view.scale * factor, css, toPicture(css));
  const pan = (from, to) => look(view.scale, to, toPicture(from));

  function redraw() {
    stale = true;
    frame();
  }

  function touch(left, top, right, bottom) {
    const [a, b, c, d] = dirty ?? [left, top, right, bottom];
    dirty = [Math.min(a, left), Math.min(b, top), Math.max(c, right), Math.max(d, bottom)];
    frame();
  }

  function frame() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (!data || !width) return;
      if (Math.round(width * ratio()) !== canvases[0].width) resize(); // moved to another screen
      if (stale) drawPicture();
      if (stale || dirty) drawFilm(dirty ?? [0, 0, w, h]);
      [stale, dirty] = [false, null];
      drawLines();
    });
  }

  function drawPicture() {
    const [across, down] = [canvases[0].width, canvases[0].height];
    ground.clearRect(0, 0, across, down);
    if (!levels.length) return;
    const scale = view.scale * ratio(); // device px per pixel
    const level = clamped(Math.floor(-Math.log2(scale)), 0, levels.length - 1);
    ground.imageSmoothingEnabled = scale <= 1;
    ground.drawImage(levels[level], view.x * ratio(), view.y * ratio(), scale * w, scale * h);
  }

  /** For each device pixel from first to last, which pixels of the picture it shows: [from, to). */
  function sources(first, last, corner, scale, side) {
    const [from, to] = [new Int32Array(last - first), new Int32Array(last - first)];
    const at = (i) => Math.floor((i - corner) / scale);
    for (let k = 0; k < from.length; k++) {
      const start = at(first + k + (scale < 1 ? 0 : 0.5));
      from[k] = clamped(start, 0, side);
      to[k] = clamped(scale < 1 ? at(first + k + 1) : start + 1, 0, side);
    }
    return { from, to };
  }

  /** Makes the film anew where it shows a box of the picture. */
  function drawFilm([left, top, right, bottom]) {
    const scale = view.scale * ratio();
    const [x, y] = [view.x * ratio(), view.y * ratio()].map(Math.round);
    const [across, down] = [canvases[1].width, canvases[1].height];
    const span = (corner, low, high, end) => [clamped(Math.floor(corner + scale * low) - 1, 0, end),
      clamped(Math.ceil(corner + scale * high) + 1, 0, end)];
    const [[i0, i1], [j0, j1]] = stale ? [[0, across], [0, down]]
      : [span(x, left, right, across), span(y, top, bottom, down)];
    if (i0 >= i1 || j0 >= j1) return;
    const columns = sources(i0, i1, x, scale, w);
    const rows = sources(j0, j1, y, scale, h);
    const picture = film.createImageData(i1 - i0, j1 - j0);
    const pixels = new Uint32Array(picture.data.buffer); // alpha, blue, green, red
    const [red, green, blue] = getComputedStyle(stage).color.match(/\d+/g).map(Number);
    const colours = [(blue << 16) | (green << 8) | red, 0xffffff];
    for (let j = 0, out = 0; j < j1 - j0; j++) {
      const [c, d] = [rows.from[j], rows.to[j]];
      for (let i = 0; i < i1 - i0; i++, out++) {
        const [a, b] = [columns.from[i], columns.to[i]];
        let count = 0;
        for (let py = c; py < d; py++) for (let k = py * w + a; k < py * w + b; k++) count += mask[k];
        if (!count) continue;
        const share = count / ((b - a) * (d - c)); // one pixel of many can still be seen
        const alpha = Math.round(255 * OPACITY * (0.4 + 0.6 * share));
        // Stripes, for pictures of just this colour.
        pixels[out] = (alpha << 24) | colours[(i0 + i + j0 + j) % 12 < 2 ? 1 : 0];
      }
    }
    film.putImageData(picture, i0, j0);
  }

  const radius = () => size / 2;
  /** The disc's centre: that of a pixel or, where the size is even, a corner. So a brush has the
   * same shape everywhere, and of size 1 it is the pixel under the pointer. */
  const snapped = (place) =>
    place.map(size % 2 ? (v) => Math.floor(v) + 0.5 : (v) => Math.round(v));

  function drawLines() {
    const line = press?.kind === 'draw' && { rectangle: cornersOf, lasso: (p) => p }[press.tool];
    const points = line ? line(press.points).map(toCss) : [];
    const idle = spaced || (press && press.kind !== 'draw');
    const disced = pointer && !idle && (tool === 'brush' || tool === 'eraser');
    for (const path of all('path')) {
      path.setAttribute('d', points.length ? `M${points.map((p) => p.join(' ')).join('L')}Z` : '');
    }
    const [x, y] = pointer ? toCss(snapped(toPicture(pointer))) : [0, 0];
    for (const circle of all('circle')) {
      circle.style.visibility = disced ? '' : 'hidden';
      circle.setAttribute('cx', x);
      circle.setAttribute('cy', y);
      circle.setAttribute('r', radius() * view.scale);
    }
    stage.toggleAttribute('data-hand', spaced || press?.kind === 'pan');
  }

  // ------------------------------------------------------------ painting

  const cornersOf = (points) => {
    const [[x0, y0], [x1, y1]] = [points[0], points.at(-1)];
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  };

  /** A row of the mask set, or taken away; what lies outside the picture is left out. */
  const painter = (erase) => (y, from, to) => {
    if (y < 0 || y >= h) return;
    const [a, b] = [Math.max(0, from), Math.min(w, to)];
    if (a < b) mask.fill(erase ? 0 : 1, y * w + a, y * w + b);
  };

  function begin(css, erase) {
    shown.checked = true;
    unhide();
    const rubbing = tool === 'eraser';
    press = { kind: 'draw', tool: rubbing ? 'brush' : tool, erase: erase || rubbing, points: [] };
    extend(css);
  }

  function extend(css) {
    const place = toPicture(css);
    if (press.tool === 'brush') {
      const to = snapped(place);
      const from = press.points.at(-1) ?? to;
      stroke(from, to, radius(), painter(press.erase));
      touch(Math.min(from[0], to[0]) - radius(), Math.min(from[1], to[1]) - radius(),
        Math.max(from[0], to[0]) + radius(), Math.max(from[1], to[1]) + radius());
      press.points = [to];
    } else press.points.push(place);
    frame();
  }

  function finish() {
    const { tool: used, points, erase } = press;
    press = null;
    if (used !== 'brush') {
      polygon(used === 'lasso' ? points : cornersOf(points), painter(erase));
      touch(0, 0, w, h);
    }
    if (commit()) tell();
  }

  /** As if this stroke had never begun. */
  function cancel() {
    if (press?.kind === 'draw') unpackInto(history[now]);
    press = null;
    frame();
  }

  // ------------------------------------------------------------ mouse, pen and fingers

  const fingers = new Map(); // pointer id → css place, of each button or finger that is down
  let scrolled = false; // the page was scrolled and the pointer hasn't moved since
  let zoomed = 0; // when the wheel zoomed last, ms

  const placeOf = ({ clientX, clientY }) => {
    const { left, top } = stage.getBoundingClientRect();
    // Browsers paint at whole device pixels, and what one sees under the pointer is one of them.
    const seen = (v) => (Math.floor(v * ratio()) + 0.5) / ratio();
    const painted = (v) => Math.round(v * ratio()) / ratio();
    return [seen(clientX) - painted(left), seen(clientY) - painted(top)];
  };
  const middleOf = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const apart = ([a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));

  stage.onpointerdown = (event) => {
    if (!data) return;
    stage.focus({ focusVisible: false, preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    const css = placeOf(event);
    pointer = css;
    fingers.set(event.pointerId, css);
    if (fingers.size > 1) {
      cancel();
      press = { kind: 'pinch' };
    } else if (event.button === 1 || spaced) press = { kind: 'pan' };
    else begin(css, event.button === 2 || event.button === 5); // 5: the eraser of a pen
    frame();
  };
  stage.onpointermove = (event) => {
    const css = placeOf(event);
    const old = fingers.get(event.pointerId);
    if (event.movementX || event.movementY) scrolled = false;
    pointer = css;
    if (old && press?.kind === 'pinch' && fingers.size === 2) {
      const before = [...fingers.values()];
      const after = [...fingers].map(([id, place]) => (id === event.pointerId ? css : place));
      zoom(apart(after) / apart(before), middleOf(before));
      pan(middleOf(before), middleOf(after));
    } else if (old && press?.kind === 'pan') pan(old, css);
    else if (old && press?.kind === 'draw') {
      const between = event.getCoalescedEvents();
      for (const part of between.length ? between : [event]) extend(placeOf(part));
    }
    if (old) fingers.set(event.pointerId, css);
    frame();
  };
  stage.onpointerup = (event) => {
    fingers.delete(event.pointerId);
    if (event.pointerType === 'touch') pointer = null;
    if (press?.kind === 'draw') finish();
    if (!fingers.size) press = null;
    frame();
  };
  stage.onpointercancel = (event) => {
    fingers.delete(event.pointerId);
    cancel();
  };
  stage.onpointerleave = () => {
    if (fingers.size) return;
    pointer = null;
    frame();
  };
  stage.onpointerenter = () => { // the keys work, unless one is writing somewhere
    if (document.activeElement === document.body) stage.focus({ focusVisible: false, preventScroll: true });
  };
  stage.oncontextmenu = (event) => event.preventDefault();
  stage.onmousedown = (event) => { if (event.button === 1) event.preventDefault(); };
  stage.addEventListener('wheel', (event) => {
    if (!data || (scrolled && !event.ctrlKey)) return; // the page was scrolled under a pointer at rest
    const factor = Math.exp(-clamped(event.deltaY * (event.deltaMode ? 30 : 1), -200, 200)
      * (event.ctrlKey ? 0.01 : 0.002));
    const resting = fitted && factor <= 1;
    if (resting && event.timeStamp - zoomed > REST_MS && !event.ctrlKey) return;
    event.preventDefault();
    if (resting) return;
    zoomed = event.timeStamp;
    zoom(factor, placeOf(event));
  }, { passive: false });
  window.addEventListener('scroll', () => { scrolled = true; }, { capture: true, passive: true });

  // ------------------------------------------------------------ keyboard and bar

  const largest = () => Math.max(2, Math.round(Math.max(w, h) / 2));

  function setSize(px) {
    size = clamped(Math.round(px), 1, largest());
    slider.value = (100 * Math.log(size)) / Math.log(largest());
    slider.setAttribute('aria-valuetext', `${size} pixels`);
    find('output').textContent = `${size} px`;
    frame();
  }

  function choose(name) {
    tool = name;
    for (const button of all('[data-tool]')) {
      button.setAttribute('aria-checked', button.dataset.tool === name);
      button.tabIndex = button.dataset.tool === name ? 0 : -1;
    }
    frame();
  }

  const unhide = () => { canvases[1].style.visibility = shown.checked ? '' : 'hidden'; };
  const zoomTo = (name) => {
    if (name === 'fit') whole();
    else zoom(name === 'in' ? STEP : 1 / STEP, pointer ?? [width / 2, height / 2]);
  };
  const keys = {
    b: () => choose('brush'), e: () => choose('eraser'),
    r: () => choose('rectangle'), l: () => choose('lasso'),
    '[': () => setSize(Math.min(size - 1, size / GROWTH)),
    ']': () => setSize(Math.max(size + 1, size * GROWTH)),
    '+': () => zoomTo('in'), '=': () => zoomTo('in'), '-': () => zoomTo('out'), 0: () => zoomTo('fit'),
    m: () => shown.click(), escape: cancel,
  };
  find('.me').onkeydown = (event) => {
    if (!data || event.altKey) return;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === 'z') edit(event.shiftKey ? 'redo' : 'undo');
      else if (key === 'y') edit('redo');
      else return;
    } else if (key === ' ' && event.target === stage) {
      spaced = true;
      frame();
    } else if (keys[key]) keys[key]();
    else return;
    event.preventDefault();
  };
  stage.onkeyup = ({ key }) => { if (key === ' ') letGo(); };
  const letGo = () => {
    spaced = false;
    frame();
  };
  stage.onblur = letGo;
  find('.me-tools').onkeydown = (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const names = TOOLS.map(([name]) => name);
    choose(names.at((names.indexOf(tool) + way) % names.length));
    find(`[data-tool=${tool}]`).focus();
  };
  find('.me-bar').onclick = ({ target }) => {
    const { tool: chosen, edit: named, zoom: way } = target.dataset;
    if (chosen) choose(chosen);
    else if (named) edit(named);
    else if (way) zoomTo(way);
  };
  slider.oninput = () => setSize(largest() ** (slider.value / 100));
  shown.onchange = unhide;
  choose(tool);
  new ResizeObserver(() => { if (room() !== width) resize(); }).observe(home);

  return { show };
}
