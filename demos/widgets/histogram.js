// A histogram of one quantity at a time, and a range of bars to select by dragging.
//
// Bars are as tall as the square root of their counts: a handful of strays beside a hundred
// thousand others is what one looks for, and on an even scale it has no height at all.

const HEIGHT = 220; // css px
const PAD = { left: 52, right: 12, top: 12, bottom: 40 }; // css px around the bars

const STYLE = `
.hg { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4;
  --hg-bar: #7d8794; --hg-chosen: #b0478a; }
.dark .hg { --hg-chosen: #f0a3cf; }
.hg-names { display: flex; flex-wrap: wrap; gap: 6px; }
.hg button { min-height: 36px; margin: 0; padding: 3px 12px; border-radius: 6px; font: inherit;
  color: inherit; cursor: pointer; border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.hg button[aria-pressed=true] { color: var(--body-background-fill, #fff);
  background: var(--body-text-color, #1f2937); }
.hg-plot { display: block; width: 100%; height: ${HEIGHT}px; margin-top: 8px; cursor: crosshair;
  touch-action: pan-y; user-select: none; border-radius: 4px; }
.hg button:focus-visible, .hg-plot:focus-visible {
  outline: 2px solid var(--body-text-color, #1f2937); outline-offset: 2px; }
.hg-plot text { fill: var(--body-text-color, #1f2937); font-size: 12px;
  font-variant-numeric: tabular-nums; }
.hg-axis { stroke: var(--body-text-color, #6b7280); }
.hg-grid { stroke: var(--border-color-primary, #d4d4d8); }
.hg-foot { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: center; min-height: 40px; }
.hg-foot span { font-variant-numeric: tabular-nums; }
.hg [hidden] { display: none !important; }
`;

const clamped = (v, low, high) => Math.min(high, Math.max(low, v));

/** A number as a person reads it, to about three digits. */
export function said(value) {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(1);
  return String(+value.toPrecision(3));
}

/** Round numbers from 0 to most: at most four of them, with steps of 1, 2 or 5 times a power of 10. */
export function counts(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  const found = [0.1, 0.2, 0.5, 1, 2, 5].map((k) => Math.round(k * power)).filter((n) => n > 0 && n <= most);
  return [...new Set(found)].slice(-3);
}

export function mount(home, { emit }) {
  home.innerHTML = `<style>${STYLE}</style><div class="hg"><div class="hg-body" hidden>
    <div class="hg-names" role="group" aria-label="Quantity"></div>
    <svg class="hg-plot" tabindex="0" role="application"></svg>
    <div class="hg-foot"><span role="status"></span><button type="button">Clear</button></div>
    </div><div class="hg-empty">Nothing to count yet.</div></div>`;
  const find = (selector) => home.querySelector(selector);
  const svg = find('.hg-plot');
  const words = find('.hg-foot span');
  const clear = find('.hg-foot button');

  let data = null;
  let name = '';
  let range = null; // [first bar, last bar]
  let from = null; // the bar where a drag began, or where the keyboard stands

  const chosen = () => data.quantities.find((q) => q.name === name);
  const wide = () => home.clientWidth - PAD.left - PAD.right;
  const real = (q, edge) => (q.log ? 10 ** edge : edge);
  const barAt = (event) => {
    const x = event.clientX - svg.getBoundingClientRect().left - PAD.left;
    const n = chosen().counts.length;
    return clamped(Math.floor((x / wide()) * n), 0, n - 1);
  };

  function show(value) {
    if (value && value.key !== data?.key) range = from = null;
    data = value;
    find('.hg-body').hidden = !data;
    find('.hg-empty').hidden = !!data;
    if (!data) return;
    if (!data.quantities.some((q) => q.name === name)) name = data.chosen;
    find('.hg-names').innerHTML = '';
    for (const q of data.quantities) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = q.title;
      button.onclick = () => {
        if (q.name === name) return;
        name = q.name;
        select(null);
      };
      button.dataset.name = q.name;
      find('.hg-names').append(button);
    }
    draw();
  }

  function draw() {
    if (!data || wide() <= 0) return;
    for (const button of find('.hg-names').children) {
      button.setAttribute('aria-pressed', button.dataset.name === name);
    }
    const q = chosen();
    const most = Math.max(1, ...q.counts);
    const tall = HEIGHT - PAD.top - PAD.bottom;
    const floor = HEIGHT - PAD.bottom;
    const y = (n) => floor - tall * Math.sqrt(n / most);
    const step = wide() / q.counts.length;
    const inside = (k) => range && k >= range[0] && k <= range[1];
    const bars = q.counts.map((n, k) => (n ? `<rect x="${PAD.left + k * step + 0.5}" y="${y(n)}"
      width="${Math.max(1, step - 1)}" height="${floor - y(n)}"
      fill="var(--hg-${inside(k) ? 'chosen' : 'bar'})"></rect>` : ''));
    const grid = counts(most).map((n) => `<line class="hg-grid" x1="${PAD.left}"
      x2="${PAD.left + wide()}" y1="${y(n)}" y2="${y(n)}"></line><text x="${PAD.left - 6}"
      y="${y(n) + 4}" text-anchor="end">${n.toLocaleString('en')}</text>`);
    const ends = q.edges.length - 1;
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) => `<text x="${PAD.left + t * wide()}"
      y="${floor + 16}" text-anchor="${t === 1 ? 'end' : 'middle'}">${
  said(real(q, q.edges[0] + t * (q.edges[ends] - q.edges[0])))}</text>`);
    const shade = range ? `<rect x="${PAD.left + range[0] * step}" y="${PAD.top}"
      width="${(range[1] - range[0] + 1) * step}" height="${tall}" fill="var(--hg-chosen)"
      opacity="0.14"></rect>` : '';
    svg.innerHTML = `${grid.join('')}${shade}${bars.join('')}<line class="hg-axis" x1="${PAD.left}"
      x2="${PAD.left + wide()}" y1="${floor}" y2="${floor}"></line>${ticks.join('')}
      <text x="${PAD.left + wide() / 2}" y="${HEIGHT - 6}" text-anchor="middle" class="hg-label">
      </text>`;
    const unit = q.unit ? ` (${q.unit})` : '';
    svg.querySelector('.hg-label').textContent = `${q.title}${unit}`;
    svg.setAttribute('aria-label', `Histogram of ${q.title}. Arrow keys choose a bar, with Shift `
      + 'they widen the range, Escape clears it.');
    clear.hidden = !range;
    words.textContent = range ? about(q) : 'Drag over the bars to select some of them.';
  }

  function about(q) {
    const n = q.counts.slice(range[0], range[1] + 1).reduce((a, b) => a + b, 0);
    const [low, high] = [q.edges[range[0]], q.edges[range[1] + 1]].map((e) => said(real(q, e)));
    return `${n.toLocaleString('en')} of ${data.total.toLocaleString('en')}: `
      + `${low} to ${high}${q.unit ? ` ${q.unit}` : ''}`;
  }

  /** Another range, and tell so; null for none. */
  function select(next) {
    range = next;
    draw();
    const q = chosen();
    emit('ranged', {
      name,
      low: range ? real(q, q.edges[range[0]]) : null,
      high: range ? real(q, q.edges[range[1] + 1]) : null,
    });
  }

  let dragging = false;
  svg.onpointerdown = (event) => {
    if (event.button) return;
    event.preventDefault();
    svg.focus({ focusVisible: false, preventScroll: true });
    svg.setPointerCapture(event.pointerId);
    dragging = true;
    from = barAt(event);
    range = [from, from];
    draw();
  };
  svg.onpointermove = (event) => {
    if (!dragging) return;
    const to = barAt(event);
    range = [Math.min(from, to), Math.max(from, to)];
    draw();
  };
  svg.onpointerup = () => {
    if (dragging) select(range);
    dragging = false;
  };
  svg.onpointercancel = () => { // the finger scrolls the page instead
    dragging = false;
    range = null;
    draw();
  };
  svg.onkeydown = (event) => {
    if (event.key === 'Escape' && range) return select(null);
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return undefined;
    event.preventDefault();
    const last = chosen().counts.length - 1;
    if (!range) return select([by > 0 ? 0 : last, by > 0 ? 0 : last]);
    const end = clamped((by > 0 ? range[1] : range[0]) + by, 0, last);
    if (!event.shiftKey) return select([end, end]);
    return select([Math.min(range[0], end), Math.max(range[1], end)]);
  };
  clear.onclick = () => select(null);
  new ResizeObserver(draw).observe(home);

  return { show };
}
