// The bytes of a scene, as the server packs them, and their order on the graphics card.
//
// Splats (core/splats/packed.py): "SLSP", then uint32 version, N, K, then blocks one after another:
// means f32 (N,3), scales f32 (N,3) m, quats f32 (N,4) w x y z, opacity f32 (N), colour waves f16
// (N,K,3), rank u32 (N), 0 for the most important. Points and meshes (pack_geometry in
// splat_view.py): "SLGM", uint32 version, P, F, then points f32 (P,3), colours u8 (P,4), faces u32
// (F,3). All little-endian; blocks begin at multiples of 4.
//
// On the card splats lie by rank, not as in the file: so the most important ones are simply the
// first ones, for the build-up, for a picture while the camera moves, and where memory ends.

export const WIDE = 4096; // texels in a row of every texture
export const CHUNK = 65536; // splats handed over at once: whole rows, whatever they hold
export const BODY = 3; // texels of a splat: mean and opacity, scales and quaternion, and a spare
const BROKEN = 'The bytes of this scene are not complete. Load the scene again.';
const COEFFICIENTS = [1, 4, 9, 16];

/** Texels of a splat's colour: two waves of three half floats in each, and 4 bytes to spare. */
export const texelsOf = (coefficients) => Math.ceil(coefficients / 2);

/** The scene of an ArrayBuffer, as views into it. Throws an Error that can be shown. */
export function parse(buffer) {
  if (buffer.byteLength < 16) throw new Error(BROKEN);
  const kind = new TextDecoder().decode(new Uint8Array(buffer, 0, 4));
  const [version, first, second] = new Uint32Array(buffer, 4, 3);
  if (!['SLSP', 'SLGM'].includes(kind) || version !== 1) throw new Error(BROKEN);
  let at = 16;
  const block = (Type, length) => {
    const size = length * Type.BYTES_PER_ELEMENT;
    if (at + size > buffer.byteLength) throw new Error(BROKEN);
    const array = new Type(buffer, at, length);
    at += Math.ceil(size / 4) * 4;
    return array;
  };
  if (kind === 'SLGM') {
    const scene = { kind: 'geometry', n: first, points: block(Float32Array, 3 * first),
      colours: block(Uint8Array, 4 * first), faces: block(Uint32Array, 3 * second) };
    if (scene.faces.some((corner) => corner >= first)) throw new Error(BROKEN);
    return scene;
  }
  if (!COEFFICIENTS.includes(second)) throw new Error(BROKEN);
  return { kind: 'splats', n: first, coefficients: second,
    means: block(Float32Array, 3 * first), scales: block(Float32Array, 3 * first),
    quats: block(Float32Array, 4 * first), opacity: block(Float32Array, first),
    sh: block(Uint16Array, 3 * second * first), rank: block(Uint32Array, first) };
}

/** Who has rank 0, 1, 2 …: the inverse of `rank`, which must have each number once. */
export function byRank(rank) {
  const who = new Uint32Array(rank.length).fill(rank.length);
  rank.forEach((place, i) => { who[place] = i; });
  if (who.includes(rank.length)) throw new Error(BROKEN);
  return who;
}

/** Means in the order of rank, for the sort. */
export function meansOf({ means }, who) {
  const own = new Float32Array(3 * who.length);
  for (let r = 0; r < who.length; r++) own.set(means.subarray(3 * who[r], 3 * who[r] + 3), 3 * r);
  return own;
}

/** Splats of rank `first` and up, CHUNK at most, as the card has them: {first, body, waves}. */
export function chunkOf(scene, who, first) {
  const { means, scales, quats, opacity, sh, coefficients } = scene;
  const count = Math.min(CHUNK, who.length - first);
  const rows = (texels) => Math.ceil((count * texels) / WIDE) * WIDE * 4; // whole rows, in words
  const body = new Uint32Array(rows(BODY));
  const numbers = new Float32Array(body.buffer);
  const texels = texelsOf(coefficients);
  const waves = new Uint32Array(rows(texels));
  const halves = new Uint16Array(waves.buffer);
  for (let k = 0; k < count; k++) {
    const i = who[first + k];
    const own = 4 * BODY * k;
    for (let a = 0; a < 3; a++) numbers[own + a] = means[3 * i + a];
    numbers[own + 3] = opacity[i];
    for (let a = 0; a < 3; a++) numbers[own + 4 + a] = scales[3 * i + a];
    for (let a = 0; a < 4; a++) numbers[own + 7 + a] = quats[4 * i + a];
    // Two waves are six halves, then two are left empty: a texel never holds a part of a wave.
    for (let wave = 0; wave < coefficients; wave += 2) {
      const from = 3 * (coefficients * i + wave);
      const to = 8 * (texels * k + wave / 2);
      const length = wave + 1 < coefficients ? 6 : 3;
      for (let a = 0; a < length; a++) halves[to + a] = sh[from + a];
    }
  }
  return { first, body, waves };
}

/** One byte per splat, by rank: 1 for those whose bit is set in `selected`, 2 in `hidden`. */
export function flagsOf(who, { selected, hidden }) {
  const flags = new Uint8Array(Math.ceil(who.length / WIDE) * WIDE);
  for (const [mask, flag] of [[selected, 1], [hidden, 2]]) {
    if (!mask) continue;
    const bits = Uint8Array.from(atob(mask), (c) => c.charCodeAt(0));
    for (let r = 0; r < who.length; r++) {
      if ((bits[who[r] >> 3] >> (who[r] & 7)) & 1) flags[r] |= flag;
    }
  }
  return flags;
}

/** The box that holds all points but the outermost share on each side: [[x, y, z], [x, y, z]]. */
export function boundsOf(points, left = 0.01) {
  const n = points.length / 3;
  const step = Math.max(1, Math.floor(n / 20000));
  const axes = [0, 1, 2].map((axis) => {
    const values = [];
    for (let i = 0; i < n; i += step) values.push(points[3 * i + axis]);
    return Float32Array.from(values).sort();
  });
  const at = (share) => axes.map((v) => v[Math.round(share * (v.length - 1))]);
  return [at(left), at(1 - left)];
}

/** The edges of triangles, each once: (E, 2). */
export function edgesOf(faces) {
  const seen = new Set();
  for (let f = 0; f < faces.length; f += 3) {
    for (let k = 0; k < 3; k++) {
      const [a, b] = [faces[f + k], faces[f + ((k + 1) % 3)]];
      seen.add(Math.min(a, b) * 2 ** 26 + Math.max(a, b)); // below 2⁵³ up to 67 million points
    }
  }
  const edges = new Uint32Array(2 * seen.size);
  let at = 0;
  for (const key of seen) {
    edges[at++] = Math.floor(key / 2 ** 26);
    edges[at++] = key % 2 ** 26;
  }
  return edges;
}
