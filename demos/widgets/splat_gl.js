// The renderer: small programs on the graphics card, three for splats and one for triangles.
//
// The first projects. It runs once per splat: a "pixel" of its target is a splat, in the order of
// depth, and what it writes are numbers, where the ellipse lies and which colour it has. The maths
// is that of core/splats/project.py. The second draws a quad around each ellipse, as far as α
// reaches 1/255, and blends as core/splats/blend.py does, front to back; A is the opacity so far:
//
//     light += (1 − A)·α·colour       A += (1 − A)·α
//
// A slice of splats goes through both, then a third program marks the tiles of the picture where A
// is nearly 1 everywhere, and the first leaves out what lies behind such tiles alone: in most
// scenes that is most of it. Between two slices a long picture can stop and let the page live.
// Quads are plain triangles with gl_VertexID, not instances: software draws these four times as fast.

const { search } = new URL(import.meta.url); // the version: see base.py
const { BODY, WIDE, texelsOf } = await import(`./splat_data.js${search}`);

export const MODES = ['Splats', 'Points', 'Rings', 'Depth', 'Normals', 'Opacity'];
const DOT = 1.5; // px, the radius of a splat shown as a point
const SLICE = 16384; // splats; whole rows of a texture
const SEALED = 0.998; // opacity: what is left can't change a byte
const [TILE, TILES] = [8, 512]; // px of a marked square, at least; squares along a side, at most
const COARSEST = 4; // halvings of the map of tiles: beyond, a byte can't tell most from all
const SAMPLES = 4; // of a pixel, for the edges of triangles

/** Viridis, at equal steps. */
export const MAP = [[68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140],
  [40, 174, 128], [94, 201, 98], [173, 220, 48], [253, 231, 37]];

const COMMON = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
const int WIDE = ${WIDE};
uniform vec3 eye;
uniform mat3 axes; // columns: right, down, ahead
uniform float focal; // px
uniform vec2 size; // px
uniform int mode;
uniform int crop; // 0 all, 1 a box, 2 a sphere
uniform vec3 crop_low, crop_high; // corners; or the middle, and the radius three times
uniform vec2 range; // depth of the colour bar's ends
uniform float widest; // σ, that a splat may reach at most
ivec2 at(int k) { return ivec2(k % WIDE, k / WIDE); }
bool cropped(vec3 p) {
  if (crop == 1) return any(lessThan(p, crop_low)) || any(greaterThan(p, crop_high));
  return crop == 2 && distance(p, crop_low) > crop_high.x;
}
`;

const MAPPED = `uniform vec3 map[${MAP.length}];
vec3 mapped(float share) {
  float place = clamp(share, 0.0, 1.0) * ${(MAP.length - 1).toFixed(1)};
  int k = min(int(place), ${MAP.length - 2});
  return mix(map[k], map[k + 1], place - float(k));
}
`;

const PROJECT = `${COMMON}${MAPPED}
uniform usampler2D order, body, waves, flags;
uniform int first, count; // of the order: where this slice begins, where all end
uniform int texels, degree; // of the colour: texels a splat has, and the degree wanted
uniform float near, scale, dim, dot_px;
uniform bool selecting;
uniform sampler2D sealed; // 1 where nothing behind can be seen any more
uniform float tile; // px
layout(location = 0) out uvec4 place; // middle and longer half axis (σ), px
layout(location = 1) out uvec4 look; // shorter axis / longer, opacity, colour

const float Y0 = 0.28209479177387814, Y1 = 0.4886025119029199;
const float Y20 = 1.0925484305920792, Y21 = 0.31539156525252005, Y22 = 0.5462742152960396;
const float Y30 = 0.5900435899266435, Y31 = 2.890611442640554, Y32 = 0.4570457994644658,
  Y33 = 0.3731763325901154, Y34 = 1.445305721320277;

vec3 colourOf(int i, vec3 d) {
  float x = d.x, y = d.y, z = d.z, xx = x * x, yy = y * y, zz = z * z, ring = 4.0 * zz - xx - yy;
  float wave[16] = float[16](Y0, -Y1 * y, Y1 * z, -Y1 * x,
    Y20 * x * y, -Y20 * y * z, Y21 * (2.0 * zz - xx - yy), -Y20 * x * z, Y22 * (xx - yy),
    -Y30 * y * (3.0 * xx - yy), Y31 * x * y * z, -Y32 * y * ring,
    Y33 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy), -Y32 * x * ring, Y34 * z * (xx - yy),
    -Y30 * x * (xx - 3.0 * yy));
  int wanted = (degree + 1) * (degree + 1);
  vec3 sum = vec3(0.5);
  for (int k = 0; 2 * k < wanted; k++) { // two waves in a texel
    uvec4 t = texelFetch(waves, at(texels * i + k), 0);
    vec2 a = unpackHalf2x16(t.x), b = unpackHalf2x16(t.y), c = unpackHalf2x16(t.z);
    sum += wave[2 * k] * vec3(a, b.x);
    if (2 * k + 1 < wanted) sum += wave[2 * k + 1] * vec3(b.y, c);
  }
  return max(sum, 0.0);
}

mat3 rotationOf(vec4 q) { // w x y z
  float w = q.x, x = q.y, y = q.z, z = q.w;
  return mat3(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
    2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
    2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
}

/** Whether all that a box of the picture shows is in front of this slice; px, y up. */
bool hidden(vec2 low, vec2 high) {
  low = max(low, vec2(0)) / tile;
  high = min(high, size - 0.5) / tile;
  float side = max(high.x - low.x, high.y - low.y);
  int level = int(max(0.0, ceil(log2(side / 3.0))));
  if (level > ${COARSEST}) return false;
  ivec2 from = ivec2(low) >> level, to = ivec2(high) >> level;
  for (int y = from.y; y <= to.y; y++) {
    for (int x = from.x; x <= to.x; x++) {
      if (texelFetch(sealed, ivec2(x, y), level).r < 1.0) return false;
    }
  }
  return true;
}

void main() {
  place = uvec4(0);
  look = uvec4(0); // opacity 0: nothing will be drawn
  ivec2 cell = ivec2(gl_FragCoord.xy);
  int slot = first + cell.y * WIDE + cell.x;
  if (slot >= count) return;
  int i = int(texelFetch(order, at(slot), 0).r);
  uint flag = texelFetch(flags, at(i), 0).r;
  vec4 a = uintBitsToFloat(texelFetch(body, at(${BODY} * i), 0));
  float opacity = a.w * dim;
  vec3 offset = a.xyz - eye;
  vec3 own = offset * axes;
  if (own.z < near || opacity < 1.0 / 255.0 || (flag & 2u) != 0u || cropped(a.xyz)) return;
  vec4 b = uintBitsToFloat(texelFetch(body, at(${BODY} * i + 1), 0));
  vec4 c = uintBitsToFloat(texelFetch(body, at(${BODY} * i + 2), 0));
  mat3 turn = rotationOf(vec4(b.w, c.xyz));

  // Rows u, v of J W R S. J is taken at the rim if the mean lies too far out. And an ellipse of ten
  // million px covers all: more would be beyond float32.
  vec2 slope = own.xy / own.z;
  vec2 rim = clamp(slope, -0.65 * size / focal, 0.65 * size / focal);
  vec3 scales = min(b.xyz * scale, 1e7 * own.z / focal);
  vec3 along_x = (axes[0] - rim.x * axes[2]) * focal / own.z;
  vec3 along_y = (axes[1] - rim.y * axes[2]) * focal / own.z;
  vec3 u = (along_x * turn) * scales, v = (along_y * turn) * scales;
  vec3 across = cross(u, v); // the determinant as a sum of squares keeps a needle's width
  float uu = dot(u, u), uv = dot(u, v), vv = dot(v, v);
  float determinant = dot(across, across) + 0.3 * (uu + vv) + 0.09;
  uu += 0.3;
  vv += 0.3;
  vec2 middle = focal * slope + 0.5 * size;
  float mean = 0.5 * (uu + vv), half_gap = length(vec2(0.5 * (uu - vv), uv));
  float longer2 = mean + half_gap;
  float angle = half_gap > 1e-6 * mean ? 0.5 * atan(2.0 * uv, uu - vv) : 0.0;
  float longer = sqrt(longer2), ratio = sqrt(determinant) / longer2;
  float reach = mode == 2 ? 1.0 : min(widest, sqrt(max(0.0, 2.0 * log(255.0 * opacity))));
  vec2 half_box = reach * sqrt(vec2(uu, vv));
  if (mode == 1) {
    longer = dot_px;
    ratio = 1.0;
    half_box = vec2(dot_px);
  }
  if (any(lessThan(middle + half_box, vec2(0))) || any(greaterThan(middle - half_box, size))) return;
  vec2 above = vec2(middle.x, size.y - middle.y);
  if (first > 0 && hidden(above - half_box, above + half_box)) return;

  vec3 colour;
  if (mode == 3) {
    colour = mapped((range.y - own.z) / max(1e-9, range.y - range.x)); // near is bright
  } else if (mode == 4) { // the shortest axis, towards the eye; x right, y up, z to the eye
    int least = b.x <= b.y && b.x <= b.z ? 0 : (b.y <= b.z ? 1 : 2);
    vec3 normal = turn[least] * axes;
    normal *= dot(normal, own) > 0.0 ? -1.0 : 1.0;
    colour = 0.5 + 0.5 * normal * vec3(1, -1, -1);
  } else if (mode == 5) {
    colour = mapped(a.w);
  } else {
    colour = colourOf(i, normalize(offset));
  }
  if (selecting) {
    bool selected = (flag & 1u) != 0u;
    float grey = dot(colour, vec3(0.2126, 0.7152, 0.0722));
    colour = selected ? mix(colour, vec3(1.0, 0.0, 0.9), 0.75) : mix(colour, vec3(0.5 * grey), 0.75);
  }
  place = floatBitsToUint(vec4(middle, longer * cos(angle), longer * sin(angle)));
  look = uvec4(floatBitsToUint(vec2(ratio, opacity)),
    packHalf2x16(colour.rg), packHalf2x16(vec2(colour.b, 0)));
}`;

// A triangle that covers everything: all of a target's pixels are computed.
const ALL = `#version 300 es
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1, 0, 1);
}`;

const QUAD = `${COMMON}
uniform usampler2D places, looks;
out vec2 q; // in σ along the ellipse's axes
flat out vec4 splat; // colour, opacity
void main() {
  ivec2 cell = at(gl_VertexID >> 2);
  uvec4 p = texelFetch(places, cell, 0), l = texelFetch(looks, cell, 0);
  float opacity = uintBitsToFloat(l.y);
  if (opacity == 0.0) {
    gl_Position = vec4(0, 0, 2, 1);
    return;
  }
  splat = vec4(unpackHalf2x16(l.z), unpackHalf2x16(l.w).x, opacity);
  float reach = mode == 1 || mode == 2 ? 1.0 : min(widest, sqrt(2.0 * log(255.0 * opacity)));
  q = reach * vec2(2 * (gl_VertexID & 1) - 1, (gl_VertexID & 2) - 1);
  vec2 middle = uintBitsToFloat(p.xy), longer = uintBitsToFloat(p.zw);
  vec2 shorter = uintBitsToFloat(l.x) * vec2(-longer.y, longer.x);
  vec2 px = middle + q.x * longer + q.y * shorter;
  gl_Position = vec4(2.0 * px.x / size.x - 1.0, 1.0 - 2.0 * px.y / size.y, 0, 1);
}`;

const BLEND = `#version 300 es
precision highp float;
precision highp int;
uniform int mode;
in vec2 q;
flat in vec4 splat;
out vec4 light;
void main() {
  float r2 = dot(q, q);
  float alpha;
  if (mode == 2) { // the rim of 1σ, about 1.5 px wide, and a breath of what is in it
    float from_rim = (1.0 - sqrt(r2)) / max(1e-6, fwidth(sqrt(r2)));
    if (from_rim < 0.0) discard;
    alpha = max(clamp(2.0 - from_rim, 0.0, 1.0) * sqrt(splat.a), 0.12 * splat.a);
  } else if (mode == 1) {
    if (r2 > 1.0) discard;
    alpha = 1.0;
  } else {
    alpha = min(0.99, splat.a * exp(-0.5 * r2));
    if (alpha < 1.0 / 255.0) discard;
  }
  light = vec4(splat.rgb * alpha, alpha);
}`;

// One pixel for each tile of the picture: 1 if nothing behind it can be seen any more.
const SEAL = `#version 300 es
precision highp float;
precision highp int;
uniform sampler2D picture;
uniform ivec2 last; // pixel
uniform int tile; // px
out vec4 sealed;
void main() {
  ivec2 from = ivec2(gl_FragCoord.xy) * tile, to = min(from + tile - 1, last);
  sealed = vec4(1);
  for (int y = from.y; y <= to.y; y++) {
    for (int x = from.x; x <= to.x; x++) {
      if (texelFetch(picture, ivec2(x, y), 0).a < ${SEALED}) {
        sealed = vec4(0);
        return;
      }
    }
  }
}`;

// Onto the page: what light is left comes from the background. A small picture is stretched, each
// pixel between the four nearest.
const FINISH = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform vec2 size, onto; // px of the picture and of the canvas
uniform vec3 background;
out vec4 light;
void main() {
  vec2 at = gl_FragCoord.xy * size / onto - 0.5;
  ivec2 last = ivec2(size) - 1;
  vec2 low = floor(at), share = at - low;
  vec4 sum = vec4(0);
  for (int k = 0; k < 4; k++) {
    ivec2 step = ivec2(k & 1, k >> 1);
    vec2 weight = mix(1.0 - share, share, vec2(step));
    sum += weight.x * weight.y * texelFetch(picture, clamp(ivec2(low) + step, ivec2(0), last), 0);
  }
  light = vec4(sum.rgb + (1.0 - sum.a) * background, 1);
}`;

const CORNER = `${COMMON}
uniform float near, point_px;
layout(location = 0) in vec3 position;
layout(location = 1) in vec4 paint;
out vec3 own;
out vec3 world;
out vec4 colour;
void main() {
  own = (position - eye) * axes;
  world = position;
  colour = paint;
  gl_Position = vec4(2.0 * focal * own.xy / size * vec2(1, -1), own.z - 2.0 * near, own.z);
  gl_PointSize = point_px;
}`;

const SURFACE = `${COMMON}${MAPPED}
uniform int shape; // 0 points, 1 triangles, 2 lines
in vec3 own;
in vec3 world;
in vec4 colour;
out vec4 light;
void main() {
  if (cropped(world)) discard;
  if (shape == 0 && length(gl_PointCoord - 0.5) > 0.5) discard;
  vec3 normal = normalize(cross(dFdx(own), dFdy(own)));
  normal *= dot(normal, own) > 0.0 ? -1.0 : 1.0;
  vec3 seen = colour.rgb;
  if (mode == 3) seen = mapped((range.y - own.z) / max(1e-9, range.y - range.x));
  else if (mode == 4 && shape == 1) seen = 0.5 + 0.5 * normal * vec3(1, -1, -1);
  else if (shape == 1) seen *= 0.3 + 0.7 * abs(dot(normal, normalize(own))); // a lamp at the eye
  light = vec4(seen, 1);
}`;

/** A renderer that draws into `canvas`; throws an Error where there is no WebGL2. */
export function renderer(canvas) {
  const gl = canvas.getContext('webgl2', { antialias: false, depth: false });
  if (!gl) throw new Error('This browser has no WebGL2, so the scene cannot turn here.');
  // Bytes would lose the faintest light, and half floats are slow where the processor draws.
  const software = /SwiftShader|llvmpipe|Basic Render/i.test(gl.getParameter(
    gl.getExtension('WEBGL_debug_renderer_info')?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER));
  const [floats, halves, blends] = ['EXT_color_buffer_float', 'EXT_color_buffer_half_float',
    'EXT_float_blend'].map((name) => gl.getExtension(name));
  const light = floats && blends && software ? gl.RGBA32F : floats || halves ? gl.RGBA16F : gl.RGBA8;
  const programs = { project: program(ALL, PROJECT), quads: program(QUAD, BLEND),
    seal: program(ALL, SEAL), finish: program(ALL, FINISH), surface: program(CORNER, SURFACE) };
  const rows = gl.getParameter(gl.MAX_TEXTURE_SIZE);
  const plain = gl.createVertexArray();
  let splats = null; // {n, texels, body, waves, order, flags: textures, count}
  let mesh = null; // {array, buffers, n, corners, ends, of points}
  let slice = null; // the target of the first program, for SLICE splats
  let quads = null;
  let picture = null; // what is being drawn, shown when it is done
  let job = null;
  let fence = null;

  function program(vertex, fragment) {
    const made = gl.createProgram();
    for (const [type, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getAttachedShaders(made).map((s) => gl.getShaderInfoLog(s)).join('\n'));
    }
    const uniforms = {};
    for (let k = 0; k < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); k++) {
      const { name, type, size } = gl.getActiveUniform(made, k);
      const setter = { [gl.FLOAT]: '1f', [gl.FLOAT_VEC2]: '2f', [gl.FLOAT_VEC3]: '3f',
        [gl.INT_VEC2]: '2i' }[type] ?? '1i';
      const where = gl.getUniformLocation(made, name);
      uniforms[name.replace('[0]', '')] = type === gl.FLOAT_MAT3
        ? (value) => gl.uniformMatrix3fv(where, false, value)
        : (value) => gl[`uniform${setter}v`](where, size > 1 ? value : [value].flat());
    }
    return { made, uniforms };
  }

  /** Makes a program current; numbers and textures it doesn't know are passed over. */
  function use({ made, uniforms }, values, textures = {}) {
    gl.useProgram(made);
    Object.entries(values).forEach(([name, value]) => uniforms[name]?.(value));
    Object.entries(textures).forEach(([name, texture], unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
      uniforms[name]?.(unit);
    });
  }

  function texture(format, height, width = WIDE, levels = 1) {
    const made = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, made);
    gl.texStorage2D(gl.TEXTURE_2D, levels, format, width, Math.max(1, height));
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER,
      levels > 1 ? gl.NEAREST_MIPMAP_NEAREST : gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    return made;
  }

  function fill(which, first, words, format, type, perTexel) {
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, which);
    const height = words.length / perTexel / WIDE;
    if (height) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, first, WIDE, height, format, type, words);
  }

  function target(textures) {
    const made = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, made);
    textures.forEach((one, k) => gl.framebufferTexture2D(
      gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + k, gl.TEXTURE_2D, one, 0));
    gl.drawBuffers(textures.map((_, k) => gl.COLOR_ATTACHMENT0 + k));
    return made;
  }

  function drop() {
    for (const name of ['body', 'waves', 'order', 'flags']) gl.deleteTexture(splats?.[name] ?? null);
    mesh?.buffers.forEach((buffer) => gl.deleteBuffer(buffer));
    gl.deleteVertexArray(mesh?.array ?? null);
    [splats, mesh, job] = [null, null, null];
  }

  /** Makes room for n splats with so many colour coefficients; chunks fill it. */
  function begin({ n, coefficients }) {
    drop();
    const texels = texelsOf(coefficients);
    const high = (perSplat) => Math.ceil((n * perSplat) / WIDE);
    splats = { n, texels, degree: Math.sqrt(coefficients) - 1, count: 0,
      body: texture(gl.RGBA32UI, high(BODY)), waves: texture(gl.RGBA32UI, high(texels)),
      order: texture(gl.R32UI, high(1)), flags: texture(gl.R8UI, high(1)) };
    setFlags(new Uint8Array(high(1) * WIDE));
    if (slice) return;
    const [places, looks] = [0, 1].map(() => texture(gl.RGBA32UI, SLICE / WIDE));
    slice = { places, looks, target: target([places, looks]) };
    const corners = new Uint32Array(6 * SLICE);
    for (let k = 0; k < SLICE; k++) corners.set([0, 1, 2, 1, 3, 2].map((v) => 4 * k + v), 6 * k);
    quads = gl.createVertexArray();
    gl.bindVertexArray(quads);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
  }

  function add({ first, body, waves }) {
    const words = [gl.RGBA_INTEGER, gl.UNSIGNED_INT, 4];
    fill(splats.body, (first * BODY) / WIDE, body, ...words);
    fill(splats.waves, (first * splats.texels) / WIDE, waves, ...words);
  }

  function setOrder(order, count) {
    fill(splats.order, 0, order, gl.RED_INTEGER, gl.UNSIGNED_INT, 1);
    splats.count = count;
  }

  const setFlags = (flags) => fill(splats.flags, 0, flags, gl.RED_INTEGER, gl.UNSIGNED_BYTE, 1);

  /** Points (P, 3), colours (P, 4), faces (F, 3) and edges (E, 2), flat. */
  function setGeometry({ points, colours, faces, edges }) {
    drop();
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const buffer = (kind, data) => {
      const made = gl.createBuffer();
      gl.bindBuffer(kind, made);
      gl.bufferData(kind, data, gl.STATIC_DRAW);
      return made;
    };
    const places = buffer(gl.ARRAY_BUFFER, points);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
    const paint = buffer(gl.ARRAY_BUFFER, colours);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    const corners = buffer(gl.ELEMENT_ARRAY_BUFFER, faces);
    const ends = buffer(gl.ELEMENT_ARRAY_BUFFER, edges);
    gl.bindVertexArray(null);
    mesh = { array, corners, ends, buffers: [places, paint, corners, ends],
      n: points.length / 3, faces: faces.length, edges: edges.length };
  }

  /** Where a picture of the canvas's size is drawn before it is shown. */
  function room() {
    const { width, height } = canvas;
    const now = [picture?.width, picture?.height, Boolean(picture?.light)];
    if (`${now}` === `${[width, height, Boolean(splats)]}`) return;
    picture?.buffers.forEach((one) => gl.deleteRenderbuffer(one));
    [picture?.light, picture?.sealed].forEach((one) => gl.deleteTexture(one ?? null));
    [picture?.target, picture?.seals].forEach((one) => gl.deleteFramebuffer(one ?? null));
    picture = { width, height, buffers: [] };
    if (splats) {
      const longest = Math.max(width, height);
      const side = longest <= (TILE * TILES) / 2 ? TILES / 2 : TILES;
      picture.tile = Math.max(TILE, Math.ceil(longest / TILES));
      picture.light = texture(light, height, width);
      picture.sealed = texture(gl.R8, side, side, COARSEST + 1);
      picture.seals = target([picture.sealed]);
      gl.clearColor(1, 1, 1, 1); // what lies off the picture needn't be seen
      gl.clear(gl.COLOR_BUFFER_BIT);
      picture.target = target([picture.light]);
      return;
    }
    picture.target = target([]);
    gl.drawBuffers([gl.COLOR_ATTACHMENT0]);
    const samples = Math.min(SAMPLES, gl.getParameter(gl.MAX_SAMPLES));
    for (const [format, attachment] of [[gl.RGBA8, gl.COLOR_ATTACHMENT0],
      [gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT]]) {
      const made = gl.createRenderbuffer();
      gl.bindRenderbuffer(gl.RENDERBUFFER, made);
      gl.renderbufferStorageMultisample(gl.RENDERBUFFER, samples, format, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, attachment, gl.RENDERBUFFER, made);
      picture.buffers.push(made);
    }
  }

  /** Begins a picture; `advance` draws it. frame: {width, height px, camera: {eye, right, down,
   *  ahead, focal px}, mode, background, crop: {kind, low, high} or null, shape of a geometry:
   *  points, lines or triangles, uniforms: numbers as the programs call them}. */
  function start(frame) {
    const { width, height, camera, background, crop } = frame;
    room();
    job = { width, height, background, next: 0, splats: splats?.count ?? 0, shape: frame.shape,
      values: {
      ...frame.uniforms, eye: camera.eye, focal: camera.focal, size: [width, height],
      axes: [...camera.right, ...camera.down, ...camera.ahead], mode: frame.mode,
      crop: crop ? { box: 1, sphere: 2 }[crop.kind] : 0, crop_low: crop?.low ?? [0, 0, 0],
      crop_high: crop?.high ?? [0, 0, 0], map: MAP.flat().map((v) => v / 255) } };
    gl.bindFramebuffer(gl.FRAMEBUFFER, picture.target);
    gl.clearColor(...(splats ? [0, 0, 0, 0] : [...background, 1]));
    gl.clear(gl.COLOR_BUFFER_BIT | (splats ? 0 : gl.DEPTH_BUFFER_BIT));
  }

  /** Draws some slices more; true when the picture is complete. Then `busy` until they are done. */
  function advance(slices) {
    if (splats) for (let k = 0; k < slices && job.next < job.splats; k++) drawSlice();
    if (mesh) drawMesh();
    const done = !splats || job.next >= job.splats;
    fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    return done;
  }

  function drawSlice() {
    const count = Math.min(SLICE, job.splats - job.next);
    const { texels, degree } = splats;
    gl.bindVertexArray(plain);
    gl.bindFramebuffer(gl.FRAMEBUFFER, slice.target);
    gl.viewport(0, 0, WIDE, Math.ceil(count / WIDE));
    use(programs.project, { ...job.values, first: job.next, count: job.splats, texels,
      degree: Math.min(degree, job.values.degree), dot_px: DOT * job.values.scale,
      tile: picture.tile },
    { sealed: picture.sealed, order: splats.order, body: splats.body, waves: splats.waves,
      flags: splats.flags });
    gl.drawArrays(gl.TRIANGLES, 0, 3);

    gl.bindFramebuffer(gl.FRAMEBUFFER, picture.target);
    gl.viewport(0, 0, job.width, job.height);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE_MINUS_DST_ALPHA, gl.ONE);
    gl.bindVertexArray(quads);
    use(programs.quads, job.values, { places: slice.places, looks: slice.looks });
    gl.drawElements(gl.TRIANGLES, 6 * count, gl.UNSIGNED_INT, 0);
    gl.disable(gl.BLEND);
    gl.bindVertexArray(plain);
    job.next += count;
    if (job.next < job.splats) seal();
    gl.bindVertexArray(null);
  }

  /** Marks the tiles behind which nothing can be seen. */
  function seal() {
    gl.bindFramebuffer(gl.FRAMEBUFFER, picture.seals);
    gl.viewport(0, 0, Math.ceil(job.width / picture.tile), Math.ceil(job.height / picture.tile));
    use(programs.seal, { last: [job.width - 1, job.height - 1], tile: picture.tile },
      { picture: picture.light });
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, picture.sealed);
    gl.generateMipmap(gl.TEXTURE_2D);
  }

  function drawMesh() {
    gl.bindFramebuffer(gl.FRAMEBUFFER, picture.target);
    gl.viewport(0, 0, job.width, job.height);
    gl.enable(gl.DEPTH_TEST);
    gl.bindVertexArray(mesh.array);
    if (job.shape === 'points') {
      use(programs.surface, { ...job.values, shape: 0 });
      gl.drawArrays(gl.POINTS, 0, mesh.n);
    } else if (job.shape === 'lines') {
      use(programs.surface, { ...job.values, shape: 2 });
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, mesh.ends);
      gl.drawElements(gl.LINES, mesh.edges, gl.UNSIGNED_INT, 0);
    } else {
      use(programs.surface, { ...job.values, shape: 1 });
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, mesh.corners);
      gl.drawElements(gl.TRIANGLES, mesh.faces, gl.UNSIGNED_INT, 0);
    }
    gl.bindVertexArray(null);
    gl.disable(gl.DEPTH_TEST);
  }

  /** Whether the card is still at what it was given last. */
  function busy() {
    if (!fence) return false;
    if (gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED && !gl.isContextLost()) return true;
    gl.deleteSync(fence);
    fence = null;
    return false;
  }

  /** Shows the picture that was drawn last. */
  function present() {
    if (!picture || !job) return;
    const { width, height } = canvas;
    if (picture.light) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      gl.viewport(0, 0, width, height);
      gl.bindVertexArray(plain);
      use(programs.finish, { size: [job.width, job.height], onto: [width, height],
        background: job.background }, { picture: picture.light });
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      gl.bindVertexArray(null);
    } else { // the samples of a pixel become one
      gl.bindFramebuffer(gl.READ_FRAMEBUFFER, picture.target);
      gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
      gl.blitFramebuffer(0, 0, job.width, job.height, 0, 0, width, height, gl.COLOR_BUFFER_BIT,
        gl.NEAREST);
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    }
  }

  /** Clears the canvas. */
  function blank(background) {
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  return { rows, begin, add, setOrder, setFlags, setGeometry, drop, start, advance, busy, present,
    blank };
}
