// A worker: fetches the scene, arranges it for the graphics card, then sorts it again and again.
//
// Splats are blended in the order of depth, so their order changes whenever the camera moves. Sorting a
// million takes a tenth of a second; here that is nobody's tenth but the worker's, and meanwhile
// the page draws with the order of a moment ago.
//
// Out: {awake}, and what is sent before that may be lost. In: {load: url, rows} once, rows: the
// height of the largest texture; {flags: {selected, hidden}}; {sort: {eye, ahead, near, count, off,
// stamp}}. Out: {progress}; {scene}, then {chunk}s or the arrays of a geometry, then {ready};
// {flags}; {order, count, asked, near, far, stamp}; {failed: text}.

const { search } = new URL(import.meta.url); // the version: see base.py
const { BODY, CHUNK, WIDE, boundsOf, byRank, chunkOf, edgesOf, flagsOf, meansOf, parse, texelsOf }
  = await import(`./splat_data.js${search}`);

const EVERY_MS = 100; // between two words of progress
const [SAMPLE, SHARES] = [2000, [0.02, 0.98]]; // of all depths: the ends of the colour bar
const RADIX = 1 << 16;

let who = null; // by rank: the place in the file
let means = null; // by rank
let depths, bits, indices, spare; // what sorting needs, kept from one sort to the next

onmessage = async ({ data }) => {
  try {
    if (data.load) await load(data.load, data.rows);
    if (data.flags) postMessage({ flags: flagsOf(who, data.flags) });
    if (data.sort) {
      const found = sorted(data.sort);
      postMessage(found, [found.order.buffer]);
    }
  } catch (error) {
    postMessage({ failed: error.message });
  }
};
postMessage({ awake: true });

async function load(url, rows) {
  const buffer = await fetched(url);
  const arrived = performance.timeOrigin + performance.now();
  const scene = parse(buffer);
  const { kind, n, coefficients } = scene;
  if (kind === 'geometry') {
    const { points, colours, faces } = scene;
    postMessage({ scene: { kind, n, all: n, faces: faces.length / 3, bounds: boundsOf(points, 0) },
      geometry: { points, colours, faces, edges: edgesOf(faces) } });
  } else {
    const most = Math.floor((rows * WIDE) / Math.max(BODY, texelsOf(coefficients)));
    who = byRank(scene.rank).subarray(0, most);
    means = meansOf(scene, who);
    depths = new Float32Array(who.length);
    bits = new Uint32Array(depths.buffer);
    [indices, spare] = [new Uint32Array(who.length), new Uint32Array(who.length)];
    postMessage({ scene: { kind, n: who.length, all: n, coefficients, bounds: boundsOf(means) } });
    for (let first = 0; first < who.length; first += CHUNK) {
      const chunk = chunkOf(scene, who, first);
      postMessage({ chunk }, [chunk.body.buffer, chunk.waves.buffer]);
    }
  }
  postMessage({ ready: true, arrived });
}

/** The bytes at an address, telling how far it is. */
async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error('The scene could not be fetched. Load it again.');
  const total = Number(response.headers.get('content-length')) || 0;
  const [parts, reader] = [[], response.body.getReader()];
  let [got, told] = [0, performance.now()];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    got += value.length;
    if (performance.now() - told < EVERY_MS) continue;
    told = performance.now();
    postMessage({ progress: { got, total } });
  }
  return new Blob(parts).arrayBuffer();
}

/** The first `count` splats by rank without those nearer than `near`, nearest first.
 *
 * The bits of positive floats sort as the floats do, so two passes of counting, by the low and by
 * the high 16 bits, sort them exactly. off: in the order of rank, as if depth didn't matter. */
function sorted({ eye, ahead, near, count, off, stamp }) {
  const most = Math.min(count, who.length);
  const [low, high] = [new Uint32Array(RADIX), new Uint32Array(RADIX)];
  let n = 0;
  for (let i = 0; i < most; i++) {
    const z = (means[3 * i] - eye[0]) * ahead[0] + (means[3 * i + 1] - eye[1]) * ahead[1]
      + (means[3 * i + 2] - eye[2]) * ahead[2];
    if (!(z >= near)) continue;
    depths[i] = z;
    indices[n++] = i;
    low[bits[i] & 0xffff]++;
    high[bits[i] >>> 16]++;
  }
  const order = new Uint32Array(Math.ceil(n / WIDE) * WIDE); // whole rows of a texture
  if (off) {
    order.set(indices.subarray(0, n));
  } else {
    for (const counts of [low, high]) {
      for (let k = 0, at = 0; k < RADIX; k++) [counts[k], at] = [at, at + counts[k]];
    }
    for (let k = 0; k < n; k++) spare[low[bits[indices[k]] & 0xffff]++] = indices[k];
    for (let k = 0; k < n; k++) order[high[bits[spare[k]] >>> 16]++] = spare[k];
  }
  const m = Math.min(n, SAMPLE);
  const sample = Float32Array.from({ length: m },
    (_, k) => depths[indices[Math.floor((k * n) / m)]]).sort();
  const [nearest, farthest] = SHARES.map((share) => sample[Math.floor(share * sample.length)] ?? 0);
  return { order, count: n, asked: count, near: nearest, far: farthest, stamp };
}
