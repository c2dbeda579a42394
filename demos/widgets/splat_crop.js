// A crop of a scene, to a box or to a sphere: the fields that set it, and its outline.
//
// As the programs of splat_gl.js take it: {kind, low, high}, the corners of a box; of a sphere the
// middle, and the radius three times.

const { search } = new URL(import.meta.url); // the version: see base.py
const { BOX_EDGES, corners, plus } = await import(`./orbit_camera.js${search}`);

const BOX = ['low', 'high'].flatMap((end) => ['x', 'y', 'z'].map((axis, k) =>
  [`${axis} ${end === 'low' ? 'from' : 'to'}`, end, k])); // of each field: name, number
const SPHERE = [['x', 'low', 0], ['y', 'low', 1], ['z', 'low', 2], ['radius', 'high', 0]];
const ARC = 48; // lines of a circle

/** Of a sphere, or of the one around a box. */
const radiusOf = ({ kind, low, high }) =>
  (kind === 'box' ? Math.hypot(...plus(high, low, -1)) / 2 : high[0]);

/** The crop of `kind`, 'box' or 'sphere', around all within these bounds [low, high]. */
export function cropAround(kind, [low, high]) {
  const box = { kind: 'box', low: [...low], high: [...high] };
  if (kind === 'box') return box;
  const radius = radiusOf(box);
  return { kind, low: plus(low, high).map((v) => v / 2), high: [radius, radius, radius] };
}

/** Draws the fields of a crop into `place`, none for null; changed(): a number of it was typed. */
export function drawFields(place, crop, changed) {
  place.innerHTML = '';
  if (!crop) return;
  const size = radiusOf(crop);
  for (const [text, end, k] of crop.kind === 'box' ? BOX : SPHERE) {
    const label = Object.assign(document.createElement('label'), { textContent: `${text} ` });
    const field = Object.assign(document.createElement('input'), { type: 'number',
      step: String(10 ** Math.floor(Math.log10(size / 10 || 1))),
      value: Number(crop[end][k].toPrecision(4)) });
    field.oninput = () => {
      if (!Number.isFinite(field.valueAsNumber)) return;
      crop[end][k] = field.valueAsNumber;
      changed();
    };
    label.append(field);
    place.append(label);
  }
}

/** A box's edges, or three great circles of a sphere, as a path; line: `lineIn` of a view. */
export function outlineOf({ kind, low, high }, line) {
  const path = new Path2D();
  if (kind === 'box') {
    const ends = corners([low, high]);
    for (const [a, b] of BOX_EDGES) line(path, ends[a], ends[b]);
    return path;
  }
  for (const axis of [0, 1, 2]) {
    const ring = Array.from({ length: ARC + 1 }, (_, k) => {
      const turn = (2 * Math.PI * k) / ARC;
      const own = [0, 0, 0];
      own[(axis + 1) % 3] = high[0] * Math.cos(turn);
      own[(axis + 2) % 3] = high[0] * Math.sin(turn);
      return plus(low, own);
    });
    for (let k = 0; k < ARC; k++) line(path, ring[k], ring[k + 1]);
  }
  return path;
}

/** A crop as the server is told it: see `cropped` in splat_view.py. */
export const toldAs = (crop) => crop && (crop.kind === 'box'
  ? { kind: 'box', low: crop.low, high: crop.high }
  : { kind: 'sphere', centre: crop.low, radius: crop.high[0] });
