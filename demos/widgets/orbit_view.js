// A scene that turns under the pointer: a picture from the server, and lines drawn here over it.
//
// The camera lives here, as an orbit: {azimuth_deg, elevation_deg, radius, target, up, fov_deg}.
// `viewOf` makes a camera of it, as `camera_of` in orbit_view.py does for the server, so a picture
// and the lines over it fit. Lines follow the pointer at once; pictures come when they come.

const TALLEST = 560; // css px
const EVERY_MS = 120; // between two `turned` events at least
const AHEAD = 2; // `turned` events that no picture has answered yet, at most: or a slow server queues
const PATIENCE_MS = 1000; // then no picture is expected any more
const SLACK = { mouse: 4, pen: 6, touch: 10 }; // css px: less movement is still a click
const NEAR = { mouse: 7, pen: 9, touch: 14 }; // css px: such a line is meant
const ACROSS = 200; // degrees of a drag over the whole width
const STEP = 5; // degrees of an arrow key
const CLOSER = 1.15; // zoom of one key press
const STEEPEST = 89; // degrees
const REACH = [0.02, 20]; // of the radius, times the one at the start
const DEPTH = [0.02, 0.14]; // of a drawn frustum, in its distance from the scene
const EDGES = [[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1], [1, 5], [5, 2]];
const LAYERS = ['Picture', 'Cameras', 'Box', 'Points', 'Ray'];
const ORBIT = ['azimuth_deg', 'elevation_deg', 'radius', 'target', 'up', 'fov_deg'];
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

// ---------------------------------------------------------------- a camera on an orbit

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) =>
  [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
/** a + k b */
const plus = (a, b, k = 1) => [a[0] + k * b[0], a[1] + k * b[1], a[2] + k * b[2]];
const unit = (a) => a.map((v) => v / Math.hypot(...a));
const radians = (degrees) => (degrees * Math.PI) / 180;
const clamped = (v, low, high) => Math.min(high, Math.max(low, v));

/** Where the orbit's camera stands, and its axes: OpenCV's x right, y down, z ahead. */
export function basis({ azimuth_deg, elevation_deg, radius, target, up }) {
  const above = unit(up);
  const axis = Math.abs(above[0]) > 0.9 ? [0, 1, 0] : [1, 0, 0];
  const zero = unit(plus(axis, above, -dot(axis, above))); // where azimuth is 0
  const quarter = cross(above, zero); // where it is 90°
  const turn = radians(azimuth_deg);
  const rise = radians(clamped(elevation_deg, -STEEPEST, STEEPEST));
  const out = [0, 1, 2].map((k) => Math.sin(rise) * above[k]
    + Math.cos(rise) * (Math.cos(turn) * zero[k] + Math.sin(turn) * quarter[k]));
  const ahead = out.map((v) => -v);
  const right = unit(cross(ahead, above));
  return { eye: plus(target, out, radius), right, down: cross(ahead, right), ahead };
}

/** The camera for a view of width × height px: `own(point)` in its axes, `pixel(own)` in px. */
export function viewOf(orbit, width, height) {
  const { eye, right, down, ahead } = basis(orbit);
  const focal = width / 2 / Math.tan(radians(orbit.fov_deg) / 2);
  const own = (point) => {
    const from = plus(point, eye, -1);
    return [dot(from, right), dot(from, down), dot(from, ahead)];
  };
  const pixel = ([x, y, z]) => [width / 2 + (focal * x) / z, height / 2 + (focal * y) / z];
  return { own, pixel, eye, right, down, focal };
}

/** The part of a line, both ends in the camera's axes, that lies beyond z = near; or null. */
export function cut(a, b, near) {
  if (!(Math.max(a[2], b[2]) > near)) return null;
  const at = (p, q) => (p[2] >= near ? p : plus(p, plus(q, p, -1), (near - p[2]) / (q[2] - p[2])));
  return [at(a, b), at(b, a)];
}

/** Apex, four corners from the upper left clockwise, and a tip above the upper edge: (6, 3). */
export function frustumPoints({ c2w, K: [fx, fy, cx, cy], size: [w, h] }, depth) {
  const own = [[0, 0], [w, 0], [w, h], [0, h], [w / 2, -0.25 * h]].map(([u, v]) =>
    [(depth * (u - cx)) / fx, (depth * (v - cy)) / fy, depth]);
  return [[0, 0, 0], ...own].map((p) =>
    [0, 4, 8].map((row) => dot(c2w.slice(row, row + 3), p) + c2w[row + 3]));
}

/** How deep to draw frusta with these apexes: as far as neighbours are apart, but in bounds. */
export function frustumDepth(apexes, middle) {
  const between = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const away = median(apexes.map((apex) => between(apex, middle)));
  const apart = apexes.length < 2 ? Infinity : median(apexes.map((a, i) =>
    Math.min(...apexes.map((b, k) => (k === i ? Infinity : between(a, b))))));
  return clamped(0.7 * apart, DEPTH[0] * away, DEPTH[1] * away);
}

/** Whether two orbits are one, but for rounding. */
function same(a, b) {
  const numbers = (orbit) => ORBIT.flatMap((name) => orbit[name]);
  const others = numbers(b);
  return numbers(a).every((v, k) => Math.abs(v - others[k]) <= 1e-6 * (1 + Math.abs(v)));
}

/** Distance from a point to a line between two others, px. */
function toLine([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const share = clamped(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return Math.hypot(x - x0 - share * dx, y - y0 - share * dy);
}

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
  const tip = find('.orb-tip');
  const boxes = Object.fromEntries(LAYERS.map((layer) => [layer, find(`[data-layer=${layer}]`)]));

  const dots = document.createElement('canvas');

  let scene = null; // all that values with this key have said
  let orbit = null;
  let frusta = []; // of each camera its six points, in the world
  let points = null; // Float32Array, x y z x y z …
  let picture = null; // loaded
  let asked = 0; // counts pictures, so that one loaded too late isn't shown over a newer one
  let got = 0;
  let width = 0; // css px
  let height = 0;
  let drawn = []; // of each camera in sight its six places in css px and its depth, else null
  let over = -1; // the camera under the pointer or stepped to
  let chosen = -1; // the one picked last
  let waiting = false;

  const room = () => Math.floor(home.getBoundingClientRect().width);
  const on = (layer) => boxes[layer].checked;
  const there = {
    Picture: () => scene.image, Cameras: () => frusta.length, Box: () => scene.box,
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
    if (!orbit && scene.start) orbit = settled(scene.start);
    if ('image' in value) load(value.image, value.image_for);
    if ('points' in value) points = value.points ? unpacked(value.points) : null;
    if ('frusta' in value) prepare(value.frusta ?? []);
    for (const layer of LAYERS) boxes[layer].parentElement.hidden = !there[layer]();
    find('.orb-learned').hidden = !scene.frusta?.some(({ held }) => !held);
    find('.orb-held').hidden = !scene.frusta?.some(({ held }) => held);
    find('.orb-note').textContent = scene.note ?? '';
    find('.orb-note').hidden = !scene.note;
    const held = scene.frusta?.filter((frustum) => frustum.held).length ?? 0;
    canvas.setAttribute('aria-label', `The scene in 3-D, with ${frusta.length} cameras, ${held} of `
      + `them held out. ${KEYS}`);
    resize();
  }

  function prepare(list) {
    const middle = scene.box ? plus(scene.box[0], scene.box[1]).map((v) => v / 2)
      : scene.start?.target ?? [0, 0, 0];
    const apexes = list.map(({ c2w }) => [c2w[3], c2w[7], c2w[11]]);
    const depth = list.length ? frustumDepth(apexes, middle) : 0;
    frusta = list.map((frustum) => frustumPoints(frustum, depth));
    [drawn, over, chosen] = [[], -1, -1];
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
    orbit = settled({ ...orbit, ...change });
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

  function settled(from) {
    const around = from.azimuth_deg - 360 * Math.round(from.azimuth_deg / 360);
    const [low, high] = REACH.map((k) => k * scene.start.radius);
    return {
      ...Object.fromEntries(ORBIT.map((name) => [name, from[name]])),
      azimuth_deg: around,
      elevation_deg: clamped(from.elevation_deg, -STEEPEST, STEEPEST),
      radius: clamped(from.radius, low, high),
    };
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
    const line = (path, a, b) => {
      const ends = cut(view.own(a), view.own(b), near)?.map(view.pixel);
      if (!ends) return;
      path.moveTo(...ends[0]);
      path.lineTo(...ends[1]);
    };
    if (scene.box && on('Box')) paintBox(context, view, near, line, stroke, style);
    if (points && on('Points')) paintPoints(context, view, near, colour('points'));
    paintCameras(context, view, near, stroke, colour);
    if (scene.ray && on('Ray')) paintRay(context, view, near, line, stroke, colour);
    placeTip();
  }

  function paintBox(context, view, near, line, stroke, style) {
    const corner = (bits) => [0, 1, 2].map((k) => scene.box[(bits >> k) & 1][k]);
    const away = (bits) => view.own(corner(bits))[2];
    const all = [0, 1, 2, 3, 4, 5, 6, 7];
    const farthest = all.reduce((a, b) => (away(b) > away(a) ? b : a));
    const [front, back] = [new Path2D(), new Path2D()];
    for (const a of all) {
      for (const b of [1, 2, 4].map((bit) => a | bit)) {
        if (a !== b) line(a === farthest || b === farthest ? back : front, corner(a), corner(b));
      }
    }
    stroke(back, 'box', 1, 0.4);
    stroke(front, 'box', 1.2, 0.85);
    context.font = `700 13px ${style.fontFamily}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.lineWidth = 3;
    context.lineJoin = 'round';
    ['x', 'y', 'z'].forEach((name, k) => { // at the end of each edge from the low corner
      const [low, high] = [corner(0), corner(1 << k)];
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

  function paintCameras(context, { own, pixel }, near, stroke, colour) {
    drawn = on('Cameras') ? frusta.map((corners) => {
      const owns = corners.map(own);
      if (!owns.every(([, , z]) => z > near)) return null; // the eye is in it or beside it
      return { places: owns.map(pixel), depth: owns[0][2] };
    }) : [];
    const paint = (indices, thickness, alpha) => {
      for (const name of ['learned', 'held']) {
        const [lines, panes] = [new Path2D(), new Path2D()];
        for (const i of indices) {
          const seen = drawn[i];
          if (!seen || Boolean(scene.frusta[i].held) !== (name === 'held')) continue;
          for (const [a, b] of EDGES) {
            lines.moveTo(...seen.places[a]);
            lines.lineTo(...seen.places[b]);
          }
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
    paint(new Set([chosen, over]), 3.5, 1);
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

  // ------------------------------------------------------------ cameras under the pointer

  /** The camera whose lines pass nearest to a place, the nearer one of two; or -1. */
  function cameraAt(css, near) {
    let best = [near, Infinity, -1];
    drawn.forEach((seen, i) => {
      if (!seen) return;
      const off = Math.min(...EDGES.map(([a, b]) => toLine(css, seen.places[a], seen.places[b])));
      if (off < best[0] - 0.5 || (off < best[0] + 0.5 && off < near && seen.depth < best[1])) {
        best = [off, seen.depth, i];
      }
    });
    return best[2];
  }

  function hover(index) {
    if (index === over) return;
    over = index;
    canvas.toggleAttribute('data-over', over >= 0);
    redraw();
  }

  function placeTip() {
    const seen = drawn[over];
    tip.hidden = over < 0;
    if (over < 0) return;
    const { label, held } = scene.frusta[over];
    const text = (label || `camera ${over + 1}`) + (held ? ', held out' : '');
    if (tip.textContent !== text) tip.textContent = text;
    const [x, y] = seen?.places[0] ?? [width / 2, 0]; // one out of sight is named all the same
    const { offsetWidth: w, offsetHeight: h } = tip;
    tip.style.left = `${clamped(x - w / 2, 4, Math.max(4, width - w - 4))}px`;
    tip.style.top = `${clamped(y - h - 10, 4, Math.max(4, height - h - 4))}px`;
  }

  function pick(index) {
    hover(index);
    if (index < 0) return;
    chosen = index;
    emit('picked', { frustum: index });
    redraw();
  }

  // ------------------------------------------------------------ mouse, pen and fingers

  const fingers = new Map(); // pointer id → css place, of each button or finger that is down
  let press = null; // {at, pans, dragged}
  let scrolled = false; // the page was scrolled and the pointer hasn't moved since

  const placeOf = ({ clientX, clientY }) => {
    const { left, top } = canvas.getBoundingClientRect();
    return [clientX - left, clientY - top];
  };
  const apart = ([a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
  const shift = (from, to) => [to[0] - from[0], to[1] - from[1]];
  const middleOf = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

  canvas.onpointerdown = (event) => {
    if (!orbit) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, placeOf(event));
    const pans = event.button > 0 || event.shiftKey || event.ctrlKey;
    press = { at: placeOf(event), pans, dragged: fingers.size > 1 };
  };
  canvas.onpointermove = (event) => {
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
      if (!press.dragged && Math.hypot(...shift(from, css)) <= (SLACK[event.pointerType] ?? 4)) return;
      press.dragged = true;
      canvas.dataset.dragged = '';
      hover(-1);
      const [dx, dy] = shift(from, css);
      if (press.pans) pan([dx, dy]);
      else turn((-ACROSS * dx) / width, (ACROSS * dy) / width);
    }
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    const known = fingers.delete(event.pointerId);
    if (!known || fingers.size) return;
    delete canvas.dataset.dragged;
    if (event.type === 'pointerup' && !press.dragged && !press.pans) {
      pick(cameraAt(placeOf(event), NEAR[event.pointerType] ?? NEAR.mouse));
    }
  };
  canvas.onpointerleave = (event) => {
    if (event.pointerType === 'mouse') hover(-1);
  };
  canvas.ondblclick = reset;
  canvas.oncontextmenu = (event) => event.preventDefault();
  canvas.onmousedown = (event) => {
    if (event.button === 1) event.preventDefault(); // or the page would begin to scroll by itself
  };
  canvas.addEventListener('wheel', (event) => {
    if (!orbit || (scrolled && !event.ctrlKey)) return; // a page scrolled under a pointer at rest
    event.preventDefault();
    const ticks = clamped(event.deltaY * (event.deltaMode ? 30 : 1), -200, 200);
    zoom(Math.exp(-ticks * (event.ctrlKey ? 0.01 : 0.0015)));
  }, { passive: false });
  window.addEventListener('scroll', () => { scrolled = true; }, { capture: true, passive: true });
  // Up and down, one finger scrolls the page; two are always ours.
  for (const kind of ['touchstart', 'touchmove']) {
    canvas.addEventListener(kind, (event) => {
      if (event.touches.length > 1) event.preventDefault();
    }, { passive: false });
  }

  // ------------------------------------------------------------ keyboard and bar

  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const step = (by) => {
    const n = drawn.length;
    if (n) hover(over < 0 ? (by > 0 ? 0 : n - 1) : (over + by + n) % n);
  };
  const keys = {
    '+': () => zoom(CLOSER), '=': () => zoom(CLOSER), '-': () => zoom(1 / CLOSER), Home: reset,
    '[': () => step(-1), ']': () => step(1), Enter: () => pick(over), Escape: () => hover(-1),
  };

  canvas.onkeydown = (event) => {
    if (!orbit || event.ctrlKey || event.metaKey) return;
    const way = ways[event.key];
    // The eye goes where the arrow points, so what is seen goes the other way.
    if (way && event.shiftKey) pan([-0.05 * width * way[0], 0.05 * width * way[1]]);
    else if (way) turn(STEP * way[0], STEP * way[1]);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  };
  canvas.onblur = () => hover(-1);
  find('button').onclick = reset;
  for (const layer of LAYERS) {
    boxes[layer].onchange = () => {
      if (layer === 'Cameras') hover(-1);
      redraw();
    };
  }
  new MutationObserver(redraw).observe(document.body, { attributeFilter: ['class'] }); // light, dark
  new ResizeObserver(resize).observe(home);

  return { show };
}
