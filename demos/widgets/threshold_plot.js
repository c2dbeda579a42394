// A histogram of right and wrong matches with a threshold to drag.
//
// Right matches stand above the axis and wrong ones hang below it, so neither hides the other.
// A low threshold keeps few matches, nearly all right (precision); a high one keeps nearly all
// the right ones (recall) and lets wrong ones in. Everything is counted here while dragging.

const BINS = 40;
const HEIGHT = 240; // css px
const PAD = { left: 40, right: 14, top: 30, bottom: 40 }; // css px around the bars
const STAT = ['precision', 'recall', 'kept'];

const STYLE = `
.tp { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4;
  --tp-right: #0072b2; --tp-wrong: #e69f00; --tp-unknown: #8a8f98; }
.dark .tp { --tp-right: #56b4e9; }
.tp-top { display: flex; flex-wrap: wrap; gap: 6px 26px; align-items: flex-end; }
.tp-stat { min-width: 5.9em; }
.tp-stat dt { font-size: 13px; }
.tp-stat dd { margin: 0; font-size: 20px; font-weight: 700; font-variant-numeric: tabular-nums; }
.tp-stat small { display: block; font-size: 13px; font-weight: 400; }
.tp dl { display: flex; flex-wrap: wrap; gap: 6px 14px; margin: 0; }
.tp-key { display: flex; gap: 14px; margin-left: auto; }
.tp-key span { display: inline-flex; gap: 6px; align-items: center; }
.tp-key i { width: 12px; height: 12px; border-radius: 2px; }
.tp-plot { display: block; width: 100%; height: ${HEIGHT}px; margin-top: 6px; cursor: ew-resize;
  touch-action: pan-y; user-select: none; }
.tp-plot text { fill: var(--body-text-color, #1f2937); font-size: 12px;
  font-variant-numeric: tabular-nums; }
.tp-axis { stroke: var(--body-text-color, #6b7280); }
.tp-all { opacity: 0.35; }
.tp-line { outline: none; }
.tp-line text { font-weight: 700; }
.tp-line line { stroke: var(--body-text-color, #1f2937); stroke-width: 2; }
.tp-line circle { fill: var(--body-text-color, #1f2937);
  stroke: var(--background-fill-primary, #fff); stroke-width: 2; }
.tp-line:focus-visible circle { r: 11px; stroke: var(--color-accent, #2563eb); stroke-width: 4; }
.tp-empty { min-height: 1.5em; }
.tp [hidden] { display: none; }
`;

/** What a threshold keeps. Shares are NaN where there is nothing to divide by. */
export function count(values, labels, threshold) {
  let [kept, right, wrong, allRight] = [0, 0, 0, 0];
  values.forEach((value, i) => {
    if (labels[i] === 1) allRight += 1;
    if (value !== null && value >= threshold) return; // kept: strictly below, or unknown
    kept += 1;
    if (labels[i] === 1) right += 1;
    if (labels[i] === 0) wrong += 1;
  });
  const precision = right / (right + wrong);
  return { kept, right, wrong, allRight, precision, recall: right / allRight };
}

/** For each label the number of values per bin; values outside go to the first or last bin. */
export function histogram(values, labels, minimum, maximum) {
  const bars = { 1: new Array(BINS).fill(0), 0: new Array(BINS).fill(0), '-1': new Array(BINS).fill(0) };
  values.forEach((value, i) => {
    if (value === null) return;
    const bin = Math.floor(((value - minimum) / (maximum - minimum)) * BINS);
    bars[labels[i]][Math.min(BINS - 1, Math.max(0, bin))] += 1;
  });
  return bars;
}

export function mount(home, { emit }) {
  home.innerHTML = `<style>${STYLE}</style><div class="tp">
    <div class="tp-top" hidden><dl>${STAT.map((name) => `<div class="tp-stat" data-is="${name}">
      <dt>${name}</dt><dd><span></span><small></small></dd></div>`).join('')}</dl>
      <div class="tp-key"></div></div>
    <svg class="tp-plot" role="group" aria-label="Histogram with a threshold" hidden></svg>
    <div class="tp-empty">No values yet.</div></div>`;
  const find = (selector) => home.querySelector(selector);
  const svg = find('.tp-plot');

  let data = null;
  let threshold = 0;
  let sent = 0;
  let dragging = false;
  let handle = null;

  const plotWidth = () => home.clientWidth - PAD.left - PAD.right;
  const toCss = (value) =>
    PAD.left + (plotWidth() * (value - data.minimum)) / (data.maximum - data.minimum);
  const snapped = (value) => {
    const step = data.step || (data.maximum - data.minimum) / 100;
    const steps = Math.round((value - data.minimum) / step);
    const inside = Math.min(data.maximum, Math.max(data.minimum, data.minimum + steps * step));
    return +inside.toFixed(10); // 0.1 + 0.2 is 0.3
  };
  const digits = () => Math.min(4, (String(data.step ?? 0.01).split('.')[1] ?? '').length);

  function show(value) {
    data = value && value.values ? value : null;
    for (const part of [find('.tp-top'), svg]) part.toggleAttribute('hidden', !data);
    find('.tp-empty').hidden = !!data;
    if (!data) return;
    if (!dragging) threshold = sent = data.threshold;
    draw();
  }

  function draw() {
    if (!data || plotWidth() <= 0) return;
    const known = data.labels.some((label) => label >= 0);
    const bars = histogram(data.values, data.labels, data.minimum, data.maximum);
    const up = bars[1].map((n, i) => n + bars[-1][i]);
    const most = [Math.max(1, ...up), Math.max(0, ...bars[0])];
    const tall = HEIGHT - PAD.top - PAD.bottom;
    const zero = PAD.top + (tall * most[0]) / (most[0] + most[1]);
    const unit = tall / (most[0] + most[1]); // css px per match
    const wide = plotWidth() / BINS;
    const bar = (i, from, to, kind) => to === from ? ''
      : `<rect x="${PAD.left + i * wide + 0.5}" y="${Math.min(zero - from * unit, zero - to * unit)}"
          width="${Math.max(1, wide - 1)}" height="${Math.abs(to - from) * unit}"
          fill="var(--tp-${kind})"></rect>`;
    let shapes = '';
    for (let i = 0; i < BINS; i++) {
      shapes += bar(i, 0, bars[1][i], 'right') + bar(i, bars[1][i], up[i], 'unknown')
        + bar(i, 0, -bars[0][i], 'wrong');
    }
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) => {
      const value = data.minimum + t * (data.maximum - data.minimum);
      const anchor = t === 1 ? 'end' : 'middle';
      return `<text x="${toCss(value) + (t === 1 ? 8 : 0)}" y="${HEIGHT - 22}"
        text-anchor="${anchor}">${+value.toFixed(3)}</text>`;
    });
    const heights = [[most[0], PAD.top], [0, zero], [most[1], HEIGHT - PAD.bottom]].map(([n, y], i) =>
      i === 2 && n === 0 ? '' : `<text x="${PAD.left - 6}" y="${y + 4}" text-anchor="end">${n}</text>`);
    // All bars are drawn faint, and once more in a window that ends at the line: those are kept.
    svg.innerHTML = `<g class="tp-all">${shapes}</g><svg class="tp-kept">${shapes}</svg>
      ${heights.join('')}<line class="tp-axis" x1="${PAD.left}" x2="${PAD.left + plotWidth()}" y1="${zero}" y2="${zero}">
      </line>${ticks.join('')}
      <text x="${PAD.left + plotWidth() / 2}" y="${HEIGHT - 4}" text-anchor="middle"
        class="tp-label"></text>
      <g class="tp-line" role="slider" tabindex="0"><title>Threshold</title>
        <rect x="-14" y="0" width="28" height="${HEIGHT - PAD.bottom + 6}" fill="transparent"></rect>
        <line y1="8" y2="${HEIGHT - PAD.bottom + 6}"></line><circle cy="9" r="8"></circle>
        <text y="14"></text></g>`;
    svg.querySelector('.tp-label').textContent = data.label ?? '';
    const hadFocus = handle && document.activeElement === handle;
    handle = svg.querySelector('.tp-line');
    if (hadFocus) handle.focus();
    const attributes = { label: `Threshold on ${data.label ?? 'the values'}`,
      valuemin: data.minimum, valuemax: data.maximum, orientation: 'horizontal' };
    for (const [name, text] of Object.entries(attributes)) handle.setAttribute(`aria-${name}`, text);
    const kinds = [['right', 1], ['wrong', 0], ['unknown', -1]];
    find('.tp-key').innerHTML = kinds.filter(([, k]) => data.labels.includes(k)).map(([name]) =>
      `<span><i style="background: var(--tp-${name})"></i>${name}</span>`).join('');
    for (const name of ['precision', 'recall']) find(`[data-is=${name}]`).hidden = !known;
    place();
  }

  function place() {
    const x = toCss(threshold);
    handle.setAttribute('transform', `translate(${x} 0)`);
    svg.querySelector('.tp-kept').setAttribute('width', x);
    const found = count(data.values, data.labels, threshold);
    const percent = (share) => Number.isNaN(share) ? '–' : `${(100 * share).toFixed(1)} %`;
    const write = (name, main, small) => {
      find(`[data-is=${name}] span`).textContent = main;
      find(`[data-is=${name}] small`).textContent = small;
    };
    write('precision', percent(found.precision), `${found.right} of ${found.right + found.wrong}`);
    write('recall', percent(found.recall), `${found.right} of ${found.allRight}`);
    write('kept', found.kept, `of ${data.values.length}`);
    const number = handle.querySelector('text');
    const atEnd = x > PAD.left + 0.85 * plotWidth();
    number.textContent = threshold.toFixed(digits());
    number.setAttribute('x', atEnd ? -14 : 14);
    number.setAttribute('text-anchor', atEnd ? 'end' : 'start');
    handle.setAttribute('aria-valuenow', threshold);
    const shares = found.allRight + found.wrong && data.labels.some((label) => label >= 0)
      ? `precision ${percent(found.precision)}, recall ${percent(found.recall)}, ` : '';
    handle.setAttribute('aria-valuetext',
      `${threshold.toFixed(digits())}: ${shares}${found.kept} kept`);
  }

  function moveTo(value) {
    threshold = snapped(value);
    place();
  }

  function release() {
    dragging = false;
    if (threshold === sent) return;
    sent = threshold;
    emit('released', { threshold });
  }

  const follow = (event) => {
    const x = event.clientX - svg.getBoundingClientRect().left - PAD.left;
    moveTo(data.minimum + (x / plotWidth()) * (data.maximum - data.minimum));
  };
  svg.onpointerdown = (event) => {
    if (event.button) return;
    event.preventDefault(); // no text selection; focus is set by hand
    svg.setPointerCapture(event.pointerId);
    handle.focus({ focusVisible: false, preventScroll: true });
    dragging = true;
    follow(event);
  };
  svg.onpointermove = (event) => {
    if (dragging) follow(event);
  };
  svg.onpointerup = release;
  svg.onpointercancel = release;
  svg.onkeydown = (event) => {
    const step = data.step || (data.maximum - data.minimum) / 100;
    const to = {
      ArrowLeft: threshold - step, ArrowDown: threshold - step,
      ArrowRight: threshold + step, ArrowUp: threshold + step,
      PageDown: threshold - 10 * step, PageUp: threshold + 10 * step,
      Home: data.minimum, End: data.maximum,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    moveTo(to);
  };
  svg.onkeyup = release;
  new ResizeObserver(draw).observe(home);

  return { show };
}
