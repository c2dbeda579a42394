// The cameras of a scene as frusta, drawn over a view: where they lie and which one is pointed at.
//
// A camera is {c2w, K, size, held, label}, as `frustum_of` in orbit_view.py makes it. Each view inks
// the lines in its own way; what is seen of them, and the name beside one, is the same in all.

const { search } = new URL(import.meta.url); // the version: see base.py
const { clamped, dot } = await import(`./orbit_camera.js${search}`);

const DEPTH = [0.02, 0.14]; // of a drawn frustum, in its distance from the scene
const EDGES = [[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1], [1, 5], [5, 2]];

/** Apex, four corners from the upper left clockwise, and a tip above the upper edge: (6, 3). */
function frustumPoints({ c2w, K: [fx, fy, cx, cy], size: [w, h] }, depth) {
  const own = [[0, 0], [w, 0], [w, h], [0, h], [w / 2, -0.25 * h]].map(([u, v]) =>
    [(depth * (u - cx)) / fx, (depth * (v - cy)) / fy, depth]);
  return [[0, 0, 0], ...own].map((p) =>
    [0, 4, 8].map((row) => dot(c2w.slice(row, row + 3), p) + c2w[row + 3]));
}

/** How deep to draw frusta with these apexes: as far as neighbours are apart, but in bounds. */
function frustumDepth(apexes, middle) {
  const between = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const away = median(apexes.map((apex) => between(apex, middle)));
  const apart = apexes.length < 2 ? Infinity : median(apexes.map((a, i) =>
    Math.min(...apexes.map((b, k) => (k === i ? Infinity : between(a, b))))));
  return clamped(0.7 * apart, DEPTH[0] * away, DEPTH[1] * away);
}

/** Distance from a point to a line between two others, px. */
function toLine([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const share = clamped(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return Math.hypot(x - x0 - share * dx, y - y0 - share * dy);
}

export class Frusta {
  cameras = []; // as the value has them
  drawn = []; // of each camera in sight its six places in css px and its depth, else null
  over = -1; // the camera under the pointer or stepped to
  #points = []; // of each camera its six points, in the world

  /** canvas: its attribute data-over says that a camera is pointed at. tip: the element beside it
   * that names this camera. redraw(): asked for when it is another one. */
  constructor(canvas, tip, redraw) {
    Object.assign(this, { canvas, tip, redraw });
  }

  /** Takes these cameras instead, around a scene whose middle is there. */
  replace(cameras, middle) {
    const apexes = cameras.map(({ c2w }) => [c2w[3], c2w[7], c2w[11]]);
    const depth = cameras.length ? frustumDepth(apexes, middle) : 0;
    this.#points = cameras.map((camera) => frustumPoints(camera, depth));
    [this.cameras, this.drawn, this.over] = [cameras, [], -1];
  }

  /** Finds what this view sees of them, beyond z = near: `drawn`. */
  look({ own, pixel }, near) {
    this.drawn = this.#points.map((points) => {
      const owns = points.map(own);
      if (!owns.every(([, , z]) => z > near)) return null; // the eye is in it or beside it
      return { places: owns.map(pixel), depth: owns[0][2] };
    });
  }

  /** None of them is drawn. */
  hide() {
    this.drawn = [];
  }

  /** Adds the lines of a camera in sight to a path. */
  trace(path, index) {
    const { places } = this.drawn[index];
    for (const [a, b] of EDGES) {
      path.moveTo(...places[a]);
      path.lineTo(...places[b]);
    }
  }

  /** The camera whose lines pass nearest to a place, the nearer one of two; or -1. css px. */
  at(place, within) {
    let best = [within, Infinity, -1];
    this.drawn.forEach((seen, i) => {
      if (!seen) return;
      const off = Math.min(...EDGES.map(([a, b]) => toLine(place, seen.places[a], seen.places[b])));
      if (off < best[0] - 0.5 || (off < best[0] + 0.5 && off < within && seen.depth < best[1])) {
        best = [off, seen.depth, i];
      }
    });
    return best[2];
  }

  /** Points at this camera; at none if it is -1. */
  hover(index) {
    if (index === this.over) return;
    this.over = index;
    this.canvas.toggleAttribute('data-over', index >= 0);
    this.redraw();
  }

  /** Points at the next camera, or the one before if `by` is -1. */
  step(by) {
    const n = this.cameras.length;
    if (n) this.hover(this.over < 0 ? (by > 0 ? 0 : n - 1) : (this.over + by + n) % n);
  }

  /** Names the camera that is pointed at, in a view of so many css px. */
  placeTip(width, height) {
    const { tip } = this;
    tip.hidden = this.over < 0;
    if (tip.hidden) return;
    const { label, held } = this.cameras[this.over];
    const text = (label || `camera ${this.over + 1}`) + (held ? ', held out' : '');
    if (tip.textContent !== text) tip.textContent = text;
    // One out of sight is named all the same.
    const [x, y] = this.drawn[this.over]?.places[0] ?? [width / 2, 0];
    const { offsetWidth: w, offsetHeight: h } = tip;
    tip.style.left = `${clamped(x - w / 2, 4, Math.max(4, width - w - 4))}px`;
    tip.style.top = `${clamped(y - h - 10, 4, Math.max(4, height - h - 4))}px`;
  }
}
