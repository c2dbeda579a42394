// Two cameras from above: a pixel of either is a ray, and where the rays meet is the point.
//
// The drawing is stretched sideways and its image planes are enlarged, but it is one affine map
// of space: straight stays straight, and every mark on a plane lies where its ray crosses it.
// A wrong disparity turns the right ray, and the crossing slides along the left one: the farther
// the point, the flatter the crossing and the longer the slide.

const HEIGHT = 410; // css px
const PAD = { left: 50, right: 12, top: 22, bottom: 62 }; // css px around the drawing
const PLANE = 20; // css px from a camera to its image plane, at the rig's own f
const APART = 0.4; // share of the width between the cameras, at the rig's own b
const SPAN = { focal: [0.5, 2], baseline: [0.5, 1.8] }; // of the sliders, times the rig's value
const DEEPEST = 2.5; // times the depth at the start: the far end of the slider
const NEAREST = 0.5; // times the depth at the start: its near end

const STYLE = `
.sg { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.45;
  --sg-left: #0072b2; --sg-right: #b45309; --sg-point: var(--body-text-color, #111);
  --sg-band: #a8327e; }
.dark .sg { color-scheme: dark; --sg-left: #56b4e9; --sg-right: #e69f00; --sg-band: #f0a3cf; }
.sg-body { display: grid; gap: 14px 28px; grid-template-columns: minmax(0, 1fr) minmax(0, 340px); }
.sg-narrow .sg-body { grid-template-columns: minmax(0, 1fr); }
.sg-drawing { display: block; width: 100%; height: ${HEIGHT}px; }
.sg text { fill: var(--body-text-color, #1f2937); font-size: 12px; font-variant-numeric: tabular-nums; }
.sg text.sg-l { fill: var(--sg-left); font-weight: 700; }
.sg text.sg-r { fill: var(--sg-right); font-weight: 700; }
.sg text.sg-d { fill: var(--sg-band); font-weight: 700; }
.sg .sg-halo { paint-order: stroke; stroke: var(--background-fill-primary, #fff); stroke-width: 4px;
  stroke-linejoin: round; }
.sg-grid { stroke: var(--border-color-primary, #d4d4d8); }
.sg-faint { stroke: var(--body-text-color-subdued, #55606c); stroke-dasharray: 2 4; }
.sg-ray { stroke-width: 2; fill: none; }
.sg-wedge { fill: var(--sg-right); opacity: 0.16; }
.sg-band { stroke: var(--sg-band); stroke-width: 8; stroke-linecap: round; opacity: 0.85; }
.sg-controls { display: flex; flex-direction: column; gap: 10px; }
.sg label { display: grid; grid-template-columns: 1fr auto; gap: 0 10px; margin: 0; }
.sg label input { grid-area: 2 / 1 / 3 / 3; width: 100%; margin: 2px 0 0; height: 24px;
  accent-color: var(--color-accent, #2563eb); }
.sg output, .sg-sums { font-variant-numeric: tabular-nums; }
.sg output { font-weight: 700; }
.sg-sums { display: grid; gap: 8px; margin: 0; }
.sg-sums p { margin: 0; min-height: 2.9em; }
.sg-sums b { white-space: nowrap; }
.sg-sums small { font-size: 13px; color: var(--body-text-color-subdued, #55606c); }
.sg button { align-self: flex-start; min-height: 32px; padding: 3px 12px; border-radius: 6px;
  font: inherit; color: inherit; cursor: pointer; border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.sg button:focus-visible, .sg input:focus-visible { outline: 2px solid var(--body-text-color, #1f2937);
  outline-offset: 2px; }
.sg i { font-style: italic; }
.sg [hidden] { display: none; }
`;

/** Depth of a point: z = f b/(d + doffs); Infinity where the rays no longer meet in front. */
export function depthOf({ focal, baseline, disparity, doffs }) {
  const d = disparity + doffs;
  return d > 0 ? (focal * baseline) / d : Infinity;
}

/** A number with as many decimals as its size asks for. */
export function written(v) {
  if (!Number.isFinite(v)) return '∞';
  const size = Math.abs(v);
  const text = v.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 0.1 ? 3 : 4);
  return text.replace('-', '−');
}

export function mount(home) {
  home.innerHTML = `<style>${STYLE}</style><div class="sg"><div class="sg-body" hidden>
    <svg class="sg-drawing" role="img"></svg>
    <div class="sg-controls">
      <label data-of="focal"><span>Focal length <i>f</i></span>
        <input type="range" step="any"><output></output></label>
      <label data-of="baseline"><span>Baseline <i>b</i></span>
        <input type="range" step="any"><output></output></label>
      <label data-of="disparity"><span>Disparity <i>d</i> = <i>u</i><sub>l</sub> − <i>u</i><sub>r</sub></span>
        <input type="range" step="any"><output></output></label>
      <button type="button">Back to this rig</button>
      <div class="sg-sums"><p data-sum="z"></p><p data-sum="error"></p>
        <p data-sum="places"></p></div></div></div>
    <div class="sg-empty"></div></div>`;
  const find = (selector) => home.querySelector(selector);
  const svg = find('svg');
  const inputs = Object.fromEntries([...home.querySelectorAll('[data-of]')].map((label) =>
    [label.dataset.of, label.querySelector('input')]));

  let rig = null; // {focal, baseline, disparity, doffs, …} as the server gave it
  let now = null; // the same as the sliders stand
  let text = ''; // the value shown last, to tell a new one from the same again

  function show(value) {
    const doffs = value?.doffs_px ?? 0;
    const good = value && value.focal_px > 0 && value.baseline > 0 && value.disparity_px + doffs > 0;
    find('.sg-body').hidden = !good;
    find('.sg-empty').textContent = good ? ''
      : 'No rig yet: with a focal length and a baseline, this shows how they make depth.';
    const fresh = JSON.stringify(value) !== text;
    text = JSON.stringify(value);
    if (!good || !fresh) return;
    rig = { focal: value.focal_px, baseline: value.baseline, disparity: value.disparity_px, doffs,
      cx: value.cx ?? value.width_px / 2, unit: (value.unit ?? 'm').replace(/[<&]/g, '') };
    const z = depthOf(rig);
    const near = Math.min(z * 0.8, Math.max(value.z_near || 0, z * NEAREST));
    const far = Math.max(z * 1.25, Math.min(value.z_far || Infinity, DEEPEST * z));
    rig.deepest = 1.12 * far;
    // The left ray is a fixed pixel. It passes half-way between the cameras where the drawing ends.
    rig.uLeft = rig.cx + (rig.focal * rig.baseline * 0.5) / rig.deepest;
    const spans = {
      focal: SPAN.focal.map((k) => k * rig.focal),
      baseline: SPAN.baseline.map((k) => k * rig.baseline),
      disparity: [far, near].map((depth) => (rig.focal * rig.baseline) / depth - doffs),
    };
    for (const [name, span] of Object.entries(spans)) [inputs[name].min, inputs[name].max] = span;
    reset();
  }

  function reset() {
    now = { ...rig };
    for (const [name, input] of Object.entries(inputs)) input.value = rig[name];
    draw();
  }

  function draw() {
    const across = home.clientWidth;
    if (!rig || !across) return;
    find('.sg').classList.toggle('sg-narrow', across < 720);
    write();
    const { width } = svg.getBoundingClientRect();
    const inner = width - PAD.left - PAD.right;
    const ground = HEIGHT - PAD.bottom; // where the cameras stand
    const sx = (APART * inner) / rig.baseline; // css px per unit sideways, and in depth
    const sz = (ground - PAD.top) / rig.deepest;
    const x0 = PAD.left + 0.16 * inner;
    const css = (x, z) => [x0 + sx * x, ground - sz * z];

    const { focal, baseline, unit } = now;
    const z = depthOf(now);
    const slope = (now.uLeft - now.cx) / focal; // of the left ray, sideways per depth
    const along = (depth) => css(slope * depth, depth);
    const high = 1.3 * rig.deepest; // beyond the upper edge, where lines are cut off
    const [far, near] = [-1, 1].map((off) => depthOf({ ...now, disparity: now.disparity + off }));
    const left = css(0, 0);
    const right = css(baseline, 0);
    // The right ray through the point at this depth, from the camera up to `top`.
    const rightAt = (depth, top) => (Number.isFinite(depth)
      ? css(baseline + ((slope * depth - baseline) * top) / depth, top)
      : css(baseline + slope * top, top));
    const plane = Math.min((PLANE * focal) / rig.focal / sz, 0.8 * near);
    const line = (from, to, style) => `<line x1="${from[0]}" y1="${from[1]}" x2="${to[0]}" y2="${to[1]}"
      ${style}></line>`;
    const word = ([x, y], content, style = '', anchor = 'middle') =>
      `<text x="${x}" y="${y}" text-anchor="${anchor}" ${style}>${content}</text>`;

    const scale = steps(rig.deepest).map((depth) => {
      const y = css(0, depth)[1];
      return line([PAD.left, y], [width - PAD.right, y], 'class="sg-grid"')
        + word([PAD.left - 6, y + 4], written(depth).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, ''), '', 'end');
    }).join('');
    const inSight = z <= rig.deepest * 1.02;
    const met = inSight ? along(z) : null;
    const band = [Math.min(near, high), Math.min(far, high)];
    const wedge = [right, rightAt(near, Math.min(near, high)), rightAt(far, Math.min(far, high))];
    const camera = ([x, y], kind, name) => `<path d="M ${x - 11} ${y + 16} L ${x} ${y} L ${x + 11} ${y + 16} Z"
        fill="var(--sg-${kind})"></path>${word([x, y + 31], name, `class="sg-${kind[0]}"`)}`;
    const half = 0.15 * inner; // of an image plane
    const level = css(0, plane)[1];
    const sensor = ([x], kind, mark) => line([x - half, level], [x + half, level],
      `stroke="var(--sg-${kind})" stroke-width="3"`)
      + line([x, ground], [x, level - 5], 'class="sg-faint"')
      + `<circle cx="${mark[0]}" cy="${mark[1]}" r="4.5" fill="var(--sg-${kind})"
          stroke="var(--background-fill-primary, #fff)" stroke-width="1.5"></circle>`;
    const pixel = (x, kind, anchor) => word([x, level - 8],
      `u<tspan dy="3" font-size="9">${kind[0]}</tspan>`, `class="sg-${kind[0]} sg-halo"`, anchor);
    // Above the right ray, which leans towards the right camera.
    const labelX = along(Math.min(z, rig.deepest))[0] + 14;
    const labelY = Math.max(PAD.top + 6, (met?.[1] ?? 0) - 20);
    svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    // The inner svg cuts off what leaves the drawing.
    const box = [PAD.left, PAD.top - 8, inner, HEIGHT - PAD.top + 8];
    svg.innerHTML = `${scale}${word([PAD.left - 6, 12], `z, ${unit}`, '', 'end')}
      <svg x="${box[0]}" y="${box[1]}" width="${box[2]}" height="${box[3]}" viewBox="${box.join(' ')}">
        <polygon class="sg-wedge" points="${wedge.join(' ')}"></polygon>
        ${line(along(band[0]), along(band[1]), 'class="sg-band"')}
        ${line(left, along(Math.min(z, high)), 'class="sg-ray" stroke="var(--sg-left)"')}
        ${line(right, rightAt(z, Math.min(z, high)), 'class="sg-ray" stroke="var(--sg-right)"')}
        ${sensor(left, 'left', along(plane))}${sensor(right, 'right', rightAt(z, plane))}
      </svg>
      ${line([left[0], ground + 40], [right[0], ground + 40], 'stroke="currentColor"')}
      ${[left, right].map(([x]) => line([x, ground + 36], [x, ground + 44], 'stroke="currentColor"')).join('')}
      ${word([(left[0] + right[0]) / 2, ground + 57], `b = ${written(baseline)} ${unit}`, 'class="sg-halo"')}
      ${pixel(Math.max(PAD.left, left[0] - half), 'left', 'start')}
      ${pixel(Math.min(width - PAD.right, right[0] + half), 'right', 'end')}
      ${camera(left, 'left', 'left')}${camera(right, 'right', 'right')}
      ${met ? `<circle cx="${met[0]}" cy="${met[1]}" r="6" fill="var(--sg-point)"
        stroke="var(--background-fill-primary, #fff)" stroke-width="2"></circle>` : ''}
      ${word([labelX, labelY], inSight ? `z = ${written(z)} ${unit}` : `↑ z = ${written(z)} ${unit}`,
    'class="sg-halo" font-weight="700"', 'start')}
      ${word([labelX, labelY + 16], `± 1 px: ${written(near)} to ${written(far)} ${unit}`,
    'class="sg-d sg-halo"', 'start')}`;
    svg.setAttribute('aria-label', `From above: two cameras ${written(baseline)} ${unit} apart see a `
      + `point at a depth of ${written(z)} ${unit}. One pixel of disparity more or less puts it `
      + `between ${written(near)} and ${written(far)} ${unit}.`);
  }

  /** The lines of text beside the drawing, and what the sliders say. */
  function write() {
    const { focal, baseline, disparity, doffs, unit, uLeft } = now;
    const z = depthOf(now);
    const told = { focal: `${written(focal)} px`, baseline: `${written(baseline)} ${unit}`,
      disparity: `${written(disparity)} px` };
    for (const [name, input] of Object.entries(inputs)) {
      input.parentElement.querySelector('output').textContent = told[name];
      input.setAttribute('aria-valuetext', `${told[name]}, depth ${written(z)} ${unit}`);
    }
    const shift = doffs ? `(${written(disparity)} ${doffs < 0 ? '−' : '+'} ${written(Math.abs(doffs))}) px`
      : told.disparity;
    find('[data-sum=z]').innerHTML = `<i>z</i> = <i>f</i>·<i>b</i> / ${doffs ? '(<i>d</i> + doffs)' : '<i>d</i>'}<br>
      = ${told.focal} · ${told.baseline} / ${shift} = <b>${written(z)} ${unit}</b>`;
    const slide = (z * z) / (focal * baseline);
    find('[data-sum=error]').innerHTML = `δ<i>z</i> ≈ <i>z</i>² / (<i>f</i>·<i>b</i>) · δ<i>d</i><br>
      = <b>${written(slide)} ${unit}</b> for each px that <i>d</i> is off
      <small>(${(100 * slide / z).toFixed(1)} % of <i>z</i>)</small>`;
    find('[data-sum=places]').innerHTML = `<i>u</i><sub>l</sub> = ${written(uLeft)} px,
      <i>u</i><sub>r</sub> = <i>u</i><sub>l</sub> − <i>d</i> = ${written(uLeft - disparity)} px
      <br><small>Stretched sideways, image planes enlarged.</small>`;
  }

  /** Round depths from 0 to `deepest`, about five of them. */
  function steps(deepest) {
    const power = 10 ** Math.floor(Math.log10(deepest / 5));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => deepest / s <= 6);
    return Array.from({ length: Math.floor(deepest / step) + 1 }, (_, k) => +(k * step).toPrecision(12));
  }

  for (const [name, input] of Object.entries(inputs)) {
    input.oninput = () => {
      now[name] = +input.value;
      draw();
    };
  }
  find('button').onclick = reset;
  new ResizeObserver(draw).observe(home);

  return { show };
}
