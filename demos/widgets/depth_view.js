// Layers over one picture, on one canvas: read a pixel, pick it, measure between two.
//
// The values under the pointer are looked up here, so reading needs no server. There are two
// frames of coordinates: pixels of the full picture, and CSS pixels of the canvas. `toCss` and
// `toPicture` make the only link between them: css = middle + scale * (picture - centre).

const TALLEST = 620; // css px
const CLOSEST = 40; // css px per pixel of the picture, at most
const STEP = 1.5; // zoom of one press
const SLACK = { mouse: 4, pen: 6, touch: 10 }; // css px: less movement is still a click
const REST_MS = 250; // a wheel that has just zoomed out doesn't at once scroll the page
const UNKNOWN = 65535;
const YELLOW = '#ffd400';
const LEFT = /^left( picture)?$/i;
const HINT = {
  Pick: 'Point at a pixel to read it, click to pick it.',
  Ruler: 'Click two pixels to measure from one to the other.',
};
const SECOND = 'Now the second pixel. Escape drops the first.';

const STYLE = `
.dv { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4; }
.dark .dv { color-scheme: dark; }
.dv-radios { display: flex; flex-wrap: wrap; gap: 6px; }
.dv-bar { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: center; margin: 8px 0; }
.dv button { min-height: 32px; min-width: 34px; margin: 0; padding: 3px 12px; border-radius: 6px;
  font: inherit; color: inherit; cursor: pointer; text-transform: none;
  border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.dv button[aria-checked=true] { color: var(--background-fill-primary, #fff);
  background: var(--body-text-color, #1f2937); border-color: var(--body-text-color, #1f2937); }
.dv-zoom { display: flex; gap: 6px; margin-left: auto; }
.dv .dv-blend { display: inline-flex; gap: 8px; align-items: center; min-height: 34px; margin: 0; }
.dv .dv-blend input { width: 110px; min-width: 60px; margin: 0;
  accent-color: var(--color-accent, #2563eb); }
.dv canvas { display: block; border-radius: 4px; cursor: crosshair;
  user-select: none; -webkit-tap-highlight-color: transparent; }
.dv canvas[data-dragged] { cursor: grabbing; }
.dv button:focus-visible, .dv canvas:focus-visible {
  outline: 2px solid var(--body-text-color, #1f2937); outline-offset: 2px; }
.dv-legend { display: flex; gap: 12px; max-width: 540px; height: 38px; margin-top: 10px;
  padding-left: 14px; font-size: 13px; font-variant-numeric: tabular-nums; }
.dv-scale { position: relative; flex: 1; }
.dv-ramp { height: 12px; border-radius: 2px; }
.dv-scale span { position: absolute; top: 18px; transform: translateX(-50%); }
.dv-scale span::before { content: ''; position: absolute; left: 50%; top: -6px; height: 5px;
  border-left: 1px solid currentColor; }
.dv-needle { position: absolute; top: -3px; width: 4px; height: 18px; margin-left: -2px;
  background: #fff; border: 1px solid #000; border-radius: 2px; }
.dv-unit { min-width: 1.5em; line-height: 12px; }
.dv-readout { display: grid; margin-top: 6px; font-variant-numeric: tabular-nums; }
.dv-readout > * { grid-area: 1 / 1; }
.dv-longest { visibility: hidden; }
.dv [hidden] { display: none; }
`;

/** Round numbers from low to high: steps of 1, 2 or 5 times a power of ten, at most `most`. */
export function ticks(low, high, most) {
  if (!(high > low)) return [low];
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  for (const step of [1, 2, 5, 10, 20].map((m) => m * power)) {
    const first = Math.ceil(low / step - 1e-9);
    const last = Math.floor(high / step + 1e-9);
    if (last - first >= most) continue;
    return Array.from({ length: last - first + 1 }, (_, k) => +((first + k) * step).toPrecision(12));
  }
  return [low];
}

/** The uint16 codes, little endian on every machine, of a base64 text. */
function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const codes = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < codes.length; i++) codes[i] = bytes[2 * i] | (bytes[2 * i + 1] << 8);
  return codes;
}

const valueOf = ({ scale, offset, inverse }, code) => {
  const v = offset + scale * code;
  return inverse ? 1 / v : v;
};

const kept = new Map(); // key of a value → its layers; outlives a widget that is drawn anew

export function mount(home, { emit, url }) {
  home.innerHTML = `<style>${STYLE}</style><div class="dv">
    <div class="dv-body" hidden>
      <div class="dv-radios dv-layers" role="radiogroup" aria-label="Layer"></div>
      <div class="dv-bar">
        <div class="dv-radios dv-modes" role="radiogroup" aria-label="What a click does"></div>
        <label class="dv-blend"><span>blend</span><input type="range" min="0" max="100" value="100"
          aria-label="Share of the layer over the left picture, percent"></label>
        <div class="dv-zoom" role="group" aria-label="Zoom">
          <button type="button" data-zoom="out" aria-label="Zoom out">−</button>
          <button type="button" data-zoom="fit" aria-label="Show the whole picture">Fit</button>
          <button type="button" data-zoom="in" aria-label="Zoom in">+</button></div></div>
      <canvas tabindex="0" role="application"></canvas>
      <div class="dv-legend"><div class="dv-scale"><div class="dv-ramp" role="img"></div>
        <div class="dv-needle"></div><div class="dv-ticks" aria-hidden="true"></div></div>
        <div class="dv-unit" aria-hidden="true"></div></div>
      <div class="dv-readout"><span role="status"></span>
        <span class="dv-longest" aria-hidden="true"></span></div></div>
    <div class="dv-empty"></div></div>`;
  const find = (selector) => home.querySelector(selector);
  const canvas = find('canvas');
  const readout = find('[role=status]');
  const blend = find('.dv-blend input');

  let data = null; // the value, its layers with decoded values
  const images = new Map(); // layer name → {address, picture once loaded}
  let name = null; // the layer shown
  let mode = 'Pick';
  let width = 0; // css px
  let height = 0;
  let view = { zoom: 1, x: 0, y: 0 }; // zoom 1 fits; x, y: the place in the canvas's middle, px
  let at = null; // [column, row] of the pixel pointed at
  let keyed = false; // the arrow keys moved it, so a cross shows it
  let inside = false; // the pointer is over the canvas
  let first = null; // ruler: the first end, px
  let line = null; // ruler: {from, to} until the server tells the distance
  let waiting = false;

  const layerOf = (called) => data.layers.find((layer) => layer.name === called);
  const left = () => data.layers.find((layer) => LEFT.test(layer.name));
  const room = () => Math.floor(home.getBoundingClientRect().width);
  const fit = () => Math.min(width / data.size[0], TALLEST / data.size[1]);
  const scale = () => fit() * view.zoom;
  const toCss = ([x, y]) =>
    [width / 2 + scale() * (x - view.x), height / 2 + scale() * (y - view.y)];
  const toPicture = ([x, y]) =>
    [view.x + (x - width / 2) / scale(), view.y + (y - height / 2) / scale()];
  const centre = ([column, row]) => [column + 0.5, row + 0.5];
  const within = ([x, y]) => x >= 0 && y >= 0 && x < data.size[0] && y < data.size[1];
  const clamped = (v, low, high) => Math.min(high, Math.max(low, v));

  function show(value) {
    const layers = value?.layers ?? kept.get(value?.key);
    const good = value?.size && layers?.length;
    find('.dv-body').hidden = !good;
    find('.dv-empty').textContent = good ? '' : 'No picture yet.';
    if (!good) {
      data = null;
      return;
    }
    if (value.key !== undefined) keep(value.key, layers);
    const fresh = !data || value.size.join() !== data.size.join();
    const before = data;
    data = { ...value, layers: layers.map((layer) => withValues(layer, before)) };
    line = null;
    if (fresh) {
      [at, first, keyed] = [null, null, false];
      if (!layerOf(name) || value.layer) name = value.layer;
      view = { zoom: 1, x: value.size[0] / 2, y: value.size[1] / 2 };
    }
    if (!layerOf(name)) name = data.layers[0].name;
    load();
    drawRadios();
    drawLayer();
    resize();
  }

  function keep(key, layers) {
    kept.delete(key);
    kept.set(key, layers);
    if (kept.size > 4) kept.delete(kept.keys().next().value);
  }

  /** The layer with its codes unpacked, unless the last value had the very same ones. */
  function withValues(layer, before) {
    if (!layer.values) return layer;
    const old = before?.layers.find((other) => other.values?.data === layer.values.data);
    return { ...layer, values: { ...layer.values, codes: old?.values.codes ?? unpacked(layer.values.data) } };
  }

  function load() {
    for (const called of images.keys()) if (!layerOf(called)) images.delete(called);
    for (const { name: called, image } of data.layers) {
      const entry = images.get(called) ?? { address: null, picture: null };
      images.set(called, entry);
      if (entry.address === image) continue;
      entry.address = image; // the old picture stays in place until the new one is there
      const picture = new Image();
      picture.onload = () => {
        if (entry.address === image) entry.picture = picture;
        redraw();
      };
      picture.src = url(image);
    }
  }

  function drawRadios() {
    radios(find('.dv-layers'), data.layers.map((layer) => layer.name), name, (chosen) => {
      name = chosen;
      drawLayer();
    });
    radios(find('.dv-modes'), Object.keys(HINT), mode, (chosen) => {
      [mode, first] = [chosen, null];
      point();
    });
  }

  /** Buttons of which one is on: the arrow keys choose, Tab goes past. */
  function radios(group, names, on, choose) {
    const mark = (chosen) => [...group.children].forEach((button) => {
      button.setAttribute('aria-checked', String(button.textContent === chosen));
      button.tabIndex = button.textContent === chosen ? 0 : -1;
    });
    const same = [...group.children].map((button) => button.textContent).join() === names.join();
    if (!same) group.replaceChildren(...names.map((text) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = text;
      button.setAttribute('role', 'radio');
      return button;
    }));
    const turn = (button) => {
      mark(button.textContent);
      choose(button.textContent);
    };
    group.onclick = ({ target }) => {
      if (target.getAttribute('role') === 'radio') turn(target);
    };
    group.onkeydown = (event) => {
      const buttons = [...group.children];
      const now = buttons.indexOf(document.activeElement);
      const to = { ArrowRight: now + 1, ArrowDown: now + 1, ArrowLeft: now - 1, ArrowUp: now - 1,
        Home: 0, End: buttons.length - 1 }[event.key];
      if (to === undefined || now < 0) return;
      event.preventDefault();
      const button = buttons[(to + buttons.length) % buttons.length];
      button.focus();
      turn(button);
    };
    mark(on);
  }

  /** All that changes with the layer shown: colour bar, blend, names; then the picture. */
  function drawLayer() {
    const { legend } = layerOf(name);
    find('.dv-blend').style.visibility = left() && data.layers.length > 1 ? '' : 'hidden';
    blend.disabled = left()?.name === name;
    find('.dv-legend').style.visibility = legend ? '' : 'hidden';
    if (legend) {
      const { low, high, unit, colours } = legend;
      const ramp = find('.dv-ramp');
      ramp.style.background = `linear-gradient(to right, ${[colours[0], ...colours].join()})`;
      ramp.setAttribute('aria-label', `Colours of ${name} from ${round(low)} to ${round(high)} ${unit}`);
      find('.dv-ticks').replaceChildren(...ticks(low, high, 7).map((value) => {
        const tick = document.createElement('span');
        tick.textContent = minus(String(value));
        tick.style.left = `${high > low ? (100 * (value - low)) / (high - low) : 50}%`;
        return tick;
      }));
      find('.dv-unit').textContent = unit;
    }
    canvas.setAttribute('aria-label', `${name}, ${data.size.join(' by ')} pixels. Arrow keys move a `
      + 'cross by a pixel, with Shift by ten; Enter clicks. Plus and minus zoom, 0 shows all.');
    find('.dv-longest').textContent = [told(data.size, longest), ...Object.values(HINT), SECOND]
      .reduce((a, b) => (a.length > b.length ? a : b));
    point();
  }

  const round = (v) => +v.toPrecision(3);
  const minus = (text) => text.replace('-', '−');

  /** The code of a map at a pixel of the full picture. */
  function codeAt({ codes, width: w, height: h }, [column, row]) {
    const x = Math.floor(((column + 0.5) * w) / data.size[0]);
    const y = Math.floor(((row + 0.5) * h) / data.size[1]);
    return codes[y * w + x];
  }

  function longest(values) {
    return [0, UNKNOWN - 1].reduce((a, b) =>
      written(values, a).length > written(values, b).length ? a : b);
  }

  function written(values, code) {
    if (code === UNKNOWN || code === undefined) return 'unknown';
    return minus(`${valueOf(values, code).toFixed(values.decimals ?? 2)} ${values.unit ?? ''}`.trim());
  }

  function told([column, row], codeOf = codeAt) {
    const parts = data.layers.filter((layer) => layer.values).map(({ name: called, values }) =>
      `${called[0].toLowerCase()}${called.slice(1)} ${written(values, codeOf(values, [column, row]))}`);
    return [`x ${column + 0.5}, y ${row + 0.5}`, ...parts].join(' · ');
  }

  /** Brings the readout, the needle of the colour bar and the picture up to date. */
  function point() {
    const pointed = at && (inside || keyed);
    readout.textContent = pointed ? told(at) : first ? SECOND : HINT[mode];
    const { legend, values } = layerOf(name);
    const code = pointed && legend && values ? codeAt(values, at) : UNKNOWN;
    const needle = find('.dv-needle');
    needle.hidden = code === UNKNOWN || code === undefined;
    if (!needle.hidden) {
      const share = (valueOf(values, code) - legend.low) / (legend.high - legend.low || 1);
      needle.style.left = `${100 * clamped(share, 0, 1)}%`;
    }
    redraw();
  }

  function resize() {
    width = room();
    if (!data || !width) return;
    height = Math.ceil(fit() * data.size[1]);
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`; // whole numbers, or the browser would stretch it a little
    canvas.style.height = `${height}px`;
    settle();
  }

  /** Keeps the place that the picture fills at zoom 1 filled: no side is pulled inwards. */
  function settle() {
    view.zoom = clamped(view.zoom, 1, Math.max(1, CLOSEST / fit()));
    ['x', 'y'].forEach((axis, k) => {
      const half = data.size[k] / (2 * view.zoom);
      view[axis] = clamped(view[axis], half, data.size[k] - half);
    });
    // At rest a finger scrolls the page; zoomed in it moves the picture.
    canvas.style.touchAction = view.zoom > 1 ? 'none' : 'pan-y';
    redraw();
  }

  /** Zooms by a factor; the place under `css` stays there. */
  function zoom(factor, css) {
    const [x, y] = toPicture(css);
    view.zoom = clamped(view.zoom * factor, 1, Math.max(1, CLOSEST / fit()));
    view.x = x - (css[0] - width / 2) / scale();
    view.y = y - (css[1] - height / 2) / scale();
    settle();
  }

  function pan([dx, dy]) {
    view.x -= dx / scale();
    view.y -= dy / scale();
    settle();
  }

  function whole() {
    view.zoom = 1;
    settle();
  }

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (data && width) paint();
    });
  }

  function paint() {
    const ratio = window.devicePixelRatio || 1;
    if (Math.round(width * ratio) !== canvas.width) return resize(); // moved to another screen
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, width, height);
    const [x, y] = toCss([0, 0]);
    context.fillStyle = 'rgba(128, 128, 128, 0.2)';
    context.fillRect(x, y, scale() * data.size[0], scale() * data.size[1]);
    const share = left() && left().name !== name ? blend.value / 100 : 1;
    if (share < 1) paintLayer(context, left(), ratio);
    context.globalAlpha = share;
    paintLayer(context, layerOf(name), ratio);
    context.globalAlpha = 1;
    if (Number.isFinite(data.row)) paintRow(context, Math.floor(data.row));
    for (const mark of data.marks ?? []) paintMark(context, mark);
    const measured = line ?? data.segment;
    if (first) {
      paintEnd(context, first);
      if (at && (inside || keyed)) paintLine(context, first, centre(at), [5, 5]);
    } else if (measured) {
      paintLine(context, measured.from, measured.to, []);
      paintEnd(context, measured.from);
      paintEnd(context, measured.to);
      const middle = seenMiddle(toCss(measured.from), toCss(measured.to));
      if (measured.label && middle) paintText(context, measured.label, middle[0], middle[1] - 16);
    }
    if (at && (inside || keyed) && scale() >= 6) paintPixel(context, at);
    if (at && keyed) paintCross(context, toCss(centre(at)));
  }

  function paintLayer(context, layer, ratio) {
    const picture = images.get(layer.name)?.picture;
    if (!picture) return;
    const [w, h] = [picture.naturalWidth, picture.naturalHeight];
    const [kx, ky] = [data.size[0] / w, data.size[1] / h];
    // Only the part that is seen, in whole pixels of the layer.
    const [x0, y0] = toPicture([0, 0]);
    const [x1, y1] = toPicture([width, height]);
    const from = [clamped(Math.floor(x0 / kx), 0, w), clamped(Math.floor(y0 / ky), 0, h)];
    const to = [clamped(Math.ceil(x1 / kx), 0, w), clamped(Math.ceil(y1 / ky), 0, h)];
    const [left0, top0] = toCss([from[0] * kx, from[1] * ky]);
    const [left1, top1] = toCss([to[0] * kx, to[1] * ky]);
    const enlarged = scale() * ratio * Math.min(kx, ky); // device px per pixel of the layer
    // A colour between two of the map would be a value that nobody measured.
    context.imageSmoothingEnabled = enlarged < (layer.legend ? 1 : 2);
    context.imageSmoothingQuality = 'high';
    context.drawImage(picture, ...from, to[0] - from[0], to[1] - from[1],
      left0, top0, left1 - left0, top1 - top0);
  }

  // A dark line below a bright one can be seen on any picture.
  function cased(context, colour, thickness, trace) {
    context.lineCap = 'butt';
    context.beginPath();
    trace();
    context.strokeStyle = 'rgba(0, 0, 0, 0.7)';
    context.lineWidth = thickness + 2;
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.stroke();
  }

  // Where a line of 1 css px covers whole device pixels.
  function sharp(css) {
    const ratio = window.devicePixelRatio || 1;
    const half = (Math.round(ratio) % 2) / 2;
    return (Math.round(css * ratio - half) + half) / ratio;
  }

  function paintRow(context, row) {
    const ys = scale() < 4 ? [row + 0.5] : [row, row + 1];
    cased(context, YELLOW, 1, () => ys.forEach((y) => {
      const level = sharp(toCss([0, y])[1]);
      context.moveTo(toCss([0, y])[0], level);
      context.lineTo(toCss([data.size[0], y])[0], level);
    }));
  }

  function paintMark(context, { x, y, label, colour }) {
    const css = toCss([x, y]);
    const radius = Math.max(7, 0.75 * scale());
    cased(context, '#ffffff', 5, () => context.arc(...css, radius, 0, 2 * Math.PI));
    context.strokeStyle = colour ?? '#0072b2';
    context.lineWidth = 3;
    context.stroke();
    if (label && onCanvas(css)) paintText(context, label, css[0], css[1] - radius - 16);
  }

  function paintEnd(context, place) {
    const css = toCss(place);
    cased(context, YELLOW, 2, () => context.arc(...css, 6, 0, 2 * Math.PI));
    context.fillStyle = YELLOW;
    context.fillRect(css[0] - 1, css[1] - 1, 2, 2);
  }

  function paintLine(context, from, to, dash) {
    context.setLineDash(dash);
    cased(context, YELLOW, 2, () => {
      context.moveTo(...toCss(from));
      context.lineTo(...toCss(to));
    });
    context.setLineDash([]);
  }

  function paintPixel(context, [column, row]) {
    const [x, y] = toCss([column, row]);
    const side = scale() + 3; // around the pixel, not on it
    cased(context, '#ffffff', 1, () => context.rect(x - 1.5, y - 1.5, side, side));
  }

  function paintCross(context, css) {
    const [x, y] = css.map(sharp);
    const gap = Math.max(4, scale() / 2 + 2);
    const [[x0, y0], [x1, y1]] = [toCss([0, 0]), toCss(data.size)];
    cased(context, '#ffffff', 1, () => {
      for (const [from, to] of [[[x0, y], [x - gap, y]], [[x + gap, y], [x1, y]],
        [[x, y0], [x, y - gap]], [[x, y + gap], [x, y1]]]) {
        context.moveTo(...from);
        context.lineTo(...to);
      }
    });
  }

  const onCanvas = ([x, y]) => x >= 0 && y >= 0 && x <= width && y <= height;

  /** The middle of that part of a line which is on the canvas, or undefined. */
  function seenMiddle([x0, y0], [x1, y1]) {
    const places = Array.from({ length: 201 }, (_, k) =>
      [x0 + (k / 200) * (x1 - x0), y0 + (k / 200) * (y1 - y0)]).filter(onCanvas);
    return places[Math.floor(places.length / 2)];
  }

  function paintText(context, text, x, y) {
    context.font = `700 13px ${getComputedStyle(home).fontFamily}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    const half = context.measureText(text).width / 2 + 7;
    const middle = clamped(x, half + 2, Math.max(half + 2, width - half - 2));
    const line = clamped(y, 13, Math.max(13, height - 13));
    context.fillStyle = 'rgba(0, 0, 0, 0.78)';
    context.beginPath();
    context.roundRect(middle - half, line - 11, 2 * half, 22, 4);
    context.fill();
    context.fillStyle = '#ffffff';
    context.fillText(text, middle, line + 0.5);
  }

  /** What a click on the pixel does, in either mode. */
  function click(pixel) {
    const [x, y] = centre(pixel);
    if (mode === 'Pick') emit('picked', { x, y });
    else if (!first) {
      [first, line] = [[x, y], null];
      data.segment = null;
    } else {
      line = { from: first, to: [x, y] };
      emit('measured', { x0: first[0], y0: first[1], x1: x, y1: y });
      first = null;
    }
    point();
  }

  // ------------------------------------------------------------ mouse, pen and fingers

  const fingers = new Map(); // pointer id → css place, of each button or finger that is down
  let down = null; // where the press began
  let lifted = null; // where it ended; finer than what a click tells, which is whole css px
  let dragged = false; // it moved too far to be a click
  let scrolled = false; // the page was scrolled and the pointer hasn't moved since
  let zoomed = 0; // when the wheel zoomed last, ms
  let hovered = null; // where the pointer was last; as fine as `lifted`

  const placeOf = ({ clientX, clientY }) => {
    const { left: x, top: y } = canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const painted = (v) => Math.round(v * ratio) / ratio; // browsers paint at whole device pixels
    return [clientX - painted(x), clientY - painted(y)];
  };
  const aim = (css) => {
    const place = toPicture(css);
    inside = within(place);
    if (inside) [at, keyed] = [place.map(Math.floor), false];
  };
  const middleOf = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const apart = ([a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));

  canvas.onpointerdown = (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, placeOf(event));
    if (fingers.size === 1) [down, dragged] = [placeOf(event), false];
    else dragged = true;
  };
  canvas.onpointermove = (event) => {
    const css = placeOf(event);
    const old = fingers.get(event.pointerId);
    hovered = css;
    if (event.movementX || event.movementY) scrolled = false;
    if (old && fingers.size === 2) {
      const before = [...fingers.values()];
      const now = [...fingers].map(([id, place]) => (id === event.pointerId ? css : place));
      const [from, to] = [middleOf(before), middleOf(now)];
      zoom(apart(now) / apart(before), from);
      pan([to[0] - from[0], to[1] - from[1]]);
    } else if (old && !dragged && apart([css, down]) > SLACK[event.pointerType]) {
      dragged = true;
      if (view.zoom > 1) canvas.dataset.dragged = '';
      pan([css[0] - down[0], css[1] - down[1]]);
    } else if (old && dragged) pan([css[0] - old[0], css[1] - old[1]]);
    if (old) fingers.set(event.pointerId, css);
    if (!old || fingers.size === 1) aim(css);
    point();
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    lifted = placeOf(event);
    fingers.delete(event.pointerId);
    if (!fingers.size) delete canvas.dataset.dragged;
  };
  canvas.onpointerleave = (event) => {
    if (event.pointerType !== 'mouse') return; // a finger that was lifted: its pixel stays told
    inside = false;
    point();
  };
  canvas.onclick = (event) => {
    if (dragged) return;
    const css = lifted ?? placeOf(event);
    if (event.detail > 1) {
      first = null; // the first click of a double click was not meant for the ruler
      whole();
    }
    aim(css);
    if (event.detail > 1) point();
    else if (inside) click(at);
  };
  canvas.addEventListener('wheel', (event) => {
    if (scrolled && !event.ctrlKey) return; // the page was scrolled under a pointer at rest
    const factor = Math.exp(-clamped(event.deltaY * (event.deltaMode ? 30 : 1), -200, 200)
      * (event.ctrlKey ? 0.01 : 0.002));
    const resting = view.zoom === 1 && factor <= 1;
    if (resting && event.timeStamp - zoomed > REST_MS && !event.ctrlKey) return;
    event.preventDefault();
    if (!resting) zoomed = event.timeStamp;
    const css = hovered && apart([hovered, placeOf(event)]) < 2 ? hovered : placeOf(event);
    zoom(factor, css);
    aim(css);
    point();
  }, { passive: false });
  window.addEventListener('scroll', () => { scrolled = true; }, { capture: true, passive: true });
  // Two fingers are ours even where one scrolls the page.
  for (const kind of ['touchstart', 'touchmove']) {
    canvas.addEventListener(kind, (event) => {
      if (event.touches.length > 1) event.preventDefault();
    }, { passive: false });
  }

  // ------------------------------------------------------------ keyboard and bar

  const anchor = () => at && (keyed || inside) ? toCss(centre(at)) : [width / 2, height / 2];
  const press = {
    '+': () => zoom(STEP, anchor()),
    '=': () => zoom(STEP, anchor()),
    '-': () => zoom(1 / STEP, anchor()),
    0: whole,
    Enter: () => at && click(at),
    ' ': () => at && click(at),
    Escape: () => [first, line] = [null, null],
  };
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function step([dx, dy], px) {
    keyed = true;
    if (!at) at = toPicture([width / 2, height / 2]).map(Math.floor);
    else at = [at[0] + dx * px, at[1] + dy * px].map((v, k) => clamped(v, 0, data.size[k] - 1));
    const css = toCss(centre(at)); // stays in sight, with room around it
    pan([width, height].map((extent, k) => {
      const margin = Math.min(24 + scale(), extent / 4);
      return clamped(css[k], margin, extent - margin) - css[k];
    }));
  }

  canvas.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (ways[event.key]) step(ways[event.key], event.shiftKey ? 10 : 1);
    else if (press[event.key]) press[event.key]();
    else return;
    event.preventDefault();
    point();
  };
  canvas.onblur = () => {
    keyed = false;
    if (data) point();
  };
  find('.dv-zoom').onclick = ({ target }) => {
    const middle = [width / 2, height / 2];
    if (target.dataset.zoom === 'fit') whole();
    else if (target.dataset.zoom) zoom(target.dataset.zoom === 'in' ? STEP : 1 / STEP, middle);
  };
  blend.oninput = redraw;
  document.fonts.addEventListener('loadingdone', redraw);
  new ResizeObserver(() => {
    if (room() !== width) resize();
  }).observe(home);

  return { show };
}
