// A camera on an orbit: the maths that the views of a scene in 3-D share.
//
// An orbit is {azimuth_deg, elevation_deg, radius, target, up, fov_deg}: a camera that stands `radius`
// from `target` and looks at it. `viewOf` makes a camera of it as `camera_of` in orbit_view.py does
// for the server, so both mean the same. Points and directions are [x, y, z].

const ORBIT = ['azimuth_deg', 'elevation_deg', 'radius', 'target', 'up', 'fov_deg'];
const STEEPEST = 89; // degrees

// ---------------------------------------------------------------- vectors

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) =>
  [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
/** a + k b */
export const plus = (a, b, k = 1) => [a[0] + k * b[0], a[1] + k * b[1], a[2] + k * b[2]];
const unit = (a) => a.map((v) => v / Math.hypot(...a));
const radians = (degrees) => (degrees * Math.PI) / 180;
export const degrees = (radians) => (radians * 180) / Math.PI;
export const clamped = (v, low, high) => Math.min(high, Math.max(low, v));

/** The corners of a box [low, high]; bit k of a corner's place says which end of axis k it is at. */
export const corners = (box) => [0, 1, 2, 3, 4, 5, 6, 7].map((bits) =>
  [0, 1, 2].map((k) => box[(bits >> k) & 1][k]));
/** A box's twelve edges, as places in `corners`. */
export const BOX_EDGES = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((a) =>
  [1, 2, 4].filter((bit) => !(a & bit)).map((bit) => [a, a | bit]));

// ---------------------------------------------------------------- from orbits to pictures

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

/** `line(path, a, b)`: adds what a view sees of a line in the world, beyond z = near, to a path. */
export const lineIn = ({ own, pixel }, near) => (path, a, b) => {
  const ends = cut(own(a), own(b), near)?.map(pixel);
  if (!ends) return;
  path.moveTo(...ends[0]);
  path.lineTo(...ends[1]);
};

// ---------------------------------------------------------------- from orbits to orbits

/** The orbit with its azimuth within half a turn, never over the top, its radius in bounds. */
export function settled(from, [least, most]) {
  const orbit = Object.fromEntries(ORBIT.map((name) => [name, from[name]]));
  return { ...orbit,
    azimuth_deg: from.azimuth_deg - 360 * Math.round(from.azimuth_deg / 360),
    elevation_deg: clamped(from.elevation_deg, -STEEPEST, STEEPEST),
    radius: clamped(from.radius, least, most) };
}

/** Whether two orbits are one, but for rounding. */
export function same(a, b) {
  const numbers = (orbit) => ORBIT.flatMap((name) => orbit[name]);
  const others = numbers(b);
  return numbers(a).every((v, k) => Math.abs(v - others[k]) <= 1e-6 * (1 + Math.abs(v)));
}

/** The orbit of a camera that stands at `eye` and looks along `ahead`, `radius` from its target. */
export function orbitAt(eye, ahead, radius, up, fov_deg) {
  const still = { elevation_deg: 0, radius: 1, target: [0, 0, 0], up };
  const [zero, quarter] = [0, 90].map((azimuth_deg) => basis({ ...still, azimuth_deg }).eye);
  const away = ahead.map((v) => -v);
  return { azimuth_deg: degrees(Math.atan2(dot(away, quarter), dot(away, zero))),
    elevation_deg: degrees(Math.asin(clamped(dot(away, unit(up)), -1, 1))),
    radius, target: plus(eye, ahead, radius), up, fov_deg };
}

/** The same eye and target with the other side up. */
export const flipped = (orbit) => ({ ...orbit, azimuth_deg: -orbit.azimuth_deg,
  elevation_deg: -orbit.elevation_deg, up: orbit.up.map((v) => -v) });
