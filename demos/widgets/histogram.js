// A histogram of one quantity at a time, and a range of bars to select by dragging.
//
// A bar is as tall as its count, but never lower than a hair: an empty bar and one of three things
// among a million must not look alike. "Small counts too" draws logarithms of the counts instead,
// so that strays, which are what one often looks for, have a height that can be compared.

const HEIGHT = 220; // css px
const PAD = { left: 52, right: 14, top: 12, bottom: 40 }; // css px around the bars
const HAIR = 2; // css px: the least height of a bar that isn't empty

// --hg-chosen is the colour in which the splat view lights up what is selected here.
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
  outline: 2px solid var(--body-text-color, #1f2937); outline-offset: 1px; }
.hg-plot text { fill: var(--body-text-color, #1f2937); font-size: 12px;
  font-variant-numeric: tabular-nums; }
.hg-axis { stroke: var(--body-text-color, #6b7280); }
.hg-grid { stroke: var(--border-color-primary, #d4d4d8); }
.hg-words { min-height: 1.4em; margin-top: 6px; font-variant-numeric: tabular-nums; }
.hg-tools { display: flex; gap: 14px; align-items: center; min-height: 40px; }
.hg-tools label { display: inline-flex; gap: 6px; align-items: center; min-height: 36px; margin: 0;
  font-size: inherit; cursor: pointer; }
.hg-tools input[type=checkbox] { appearance: auto; width: 16px; height: 16px; margin: 0;
  accent-color: var(--color-accent, #2563eb); }
.hg [hidden] { display: none !important; }
`;

const clamped = (v, low, high) => Math.min(high, Math.max(low, v));
const inOrder = (a, b) => (a <= b ? [a, b] : [b, a]);

/** A number as a person reads it: 0.01, 2,500, 2×10⁻⁵. digits after the point, or as many as needed. */
export function said(value, digits = null) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-4) && digits === null) {
    const [front, power] = value.toExponential(2).split('e').map(Number);
    const raised = [...String(power)].map((c) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(c)]).join('');
    return `${front}×10${raised}`.replace('-', '−');
  }
  return value.toLocaleString('en', digits === null
    ? { maximumSignificantDigits: 6, signDisplay: 'negative' }
    : { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: 'negative' },
  ).replace('-', '−');
}

/** The round numbers from low to high, the finest steps of 1, 2 or 5 times a power of ten that
 * make at most `most` of them. */
export function round(low, high, most) {
  if (low === high) return [low];
  const least = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(least));
  for (const step of [1, 2, 5, 10, 20].map((k) => k * power)) {
    const first = Math.ceil(low / step - 1e-9);
    const n = Math.floor(high / step + 1e-9) - first + 1;
    if (n <= most) return Array.from({ length: n }, (_, k) => +((first + k) * step).toPrecision(12));
  }
  return [];
}

/** Round numbers from 10^low to 10^high: 1, 2 and 5 times powers of ten, or only every k-th power
 * if there are too many. Over about one decade even steps are rounder. */
export function roundRatios(low, high, most) {
  if (high - low < 1.2) return round(10 ** low, 10 ** high, most);
  const first = Math.floor(low);
  const powers = Array.from({ length: Math.ceil(high) - first + 1 }, (_, k) => first + k);
  const inside = (v) => Math.log10(v) >= low - 1e-9 && Math.log10(v) <= high + 1e-9;
  const all = powers.flatMap((p) => [+`1e${p}`, +`2e${p}`, +`5e${p}`]).filter(inside);
  if (all.length <= most) return all;
  const whole = powers.map((p) => +`1e${p}`).filter(inside);
  return whole.filter((_, k) => k % Math.ceil(whole.length / most) === 0);
}

export function mount(home, { emit }) {
  home.innerHTML = `<style>${STYLE}</style><div class="hg"><div class="hg-body" hidden>
    <div class="hg-names" role="group" aria-label="Quantity"></div>
    <svg class="hg-plot" tabindex="0" role="application"></svg>
    <div class="hg-foot"><div class="hg-words"><span role="status"></span></div><div class="hg-tools">
      <label><input type="checkbox">small counts too</label><button type="button">Clear</button></div>
    </div>
    </div><div class="hg-empty">Nothing to count yet.</div></div>`;
  const find = (selector) => home.querySelector(selector);
  const svg = find('.hg-plot');
  const clear = find('.hg-tools button');
  const small = find('.hg-tools input');

  let data = null;
  let name = '';
  let range = null; // [bar where it began, bar where it ends now], in either order
  let before = null; // the range to go back to when a drag comes to nothing
  let dragging = false;
  let untold = false; // keys have changed the range and are still held

  const chosen = () => data.quantities.find((q) => q.name === name);
  const wide = () => home.clientWidth - PAD.left - PAD.right;
  const real = (q, edge) => (q.log ? 10 ** edge : edge);
  const barAt = (event) => {
    const x = event.clientX - svg.getBoundingClientRect().left - PAD.left;
    const n = chosen().counts.length;
    return clamped(Math.floor((x / wide()) * n), 0, n - 1);
  };

  function show(value) {
    const fresh = value?.key !== data?.key;
    data = value;
    find('.hg-body').hidden = !data;
    find('.hg-empty').hidden = !!data;
    if (!data) return;
    const lost = !data.quantities.some((q) => q.name === name);
    if (lost) name = data.chosen;
    if (fresh || lost) {
      [dragging, untold] = [false, false];
      range = data.range && name === data.chosen ? barsOf(chosen(), data.range) : null;
    }
    nameButtons();
    draw();
  }

  /** The bars from one value to another, in the quantity's own unit. */
  function barsOf(q, [low, high]) {
    const last = q.counts.length - 1;
    const each = (q.edges[last + 1] - q.edges[0]) / (last + 1);
    const at = (v) => ((q.log ? Math.log10(v) : v) - q.edges[0]) / each;
    const first = clamped(Math.floor(at(low) + 1e-6), 0, last);
    return [first, clamped(Math.ceil(at(high) - 1e-6) - 1, first, last)];
  }

  function nameButtons() {
    const named = find('.hg-names');
    const titles = data.quantities.map((q) => q.title);
    // the same buttons stay, and with them the focus
    if ([...named.children].map((b) => b.textContent).join('\n') === titles.join('\n')) return;
    named.replaceChildren(...data.quantities.map((q) => {
      const button = document.createElement('button');
      [button.type, button.textContent, button.dataset.name] = ['button', q.title, q.name];
      button.onclick = () => {
        if (q.name === name) return;
        if (range) select(null);
        name = q.name;
        draw();
      };
      return button;
    }));
  }

  function draw() {
    if (!data || wide() <= 0) return;
    for (const button of find('.hg-names').children) {
      button.setAttribute('aria-pressed', button.dataset.name === name);
    }
    const q = chosen();
    const bars = q.counts.length;
    const most = Math.max(1, ...q.counts);
    const [tall, floor] = [HEIGHT - PAD.top - PAD.bottom, HEIGHT - PAD.bottom];
    const share = small.checked ? (n) => Math.log1p(n) / Math.log1p(most) : (n) => n / most;
    const y = (n) => floor - (n ? Math.max(HAIR, tall * share(n)) : 0);
    const step = wide() / bars;
    const [first, last] = range ? inOrder(...range) : [1, 0];
    const inside = (k) => k >= first && k <= last;
    const rects = q.counts.map((n, k) => (n ? `<rect x="${PAD.left + k * step + 0.5}" y="${y(n)}"
      width="${Math.max(1, step - 1)}" height="${floor - y(n)}" data-bar="${k}"
      fill="var(--hg-${inside(k) ? 'chosen' : 'bar'})"></rect>` : ''));
    const heights = small.checked ? roundRatios(0, Math.log10(most), 5) : round(0, most, 6);
    const grid = heights.filter((n) => n > 0 && Number.isInteger(n)).map((n) => `<line class="hg-grid"
      x1="${PAD.left}" x2="${PAD.left + wide()}" y1="${y(n)}" y2="${y(n)}"></line><text
      x="${PAD.left - 6}" y="${y(n) + 4}" text-anchor="end">${
  n.toLocaleString('en', { notation: n >= 1e5 ? 'compact' : 'standard' })}</text>`);
    const [low, high] = [q.edges[0], q.edges[bars]];
    const few = Math.max(3, Math.floor(wide() / 70));
    const ticks = (q.log ? roundRatios : round)(low, high, few).map((v) => {
      const x = PAD.left + ((q.log ? Math.log10(v) : v) - low) / (high - low) * wide();
      const text = said(v);
      const middle = Math.min(x, home.clientWidth - 3.8 * text.length); // a long one stays inside
      return `<line class="hg-axis" x1="${x}" x2="${x}" y1="${floor}" y2="${floor + 4}"></line>
        <text x="${middle}" y="${floor + 17}" text-anchor="middle">${text}</text>`;
    });
    const shade = range ? `<rect x="${PAD.left + first * step}" y="${PAD.top}"
      width="${(last - first + 1) * step}" height="${tall}" fill="var(--hg-chosen)"
      opacity="0.14"></rect>` : '';
    svg.innerHTML = `${grid.join('')}${shade}${rects.join('')}<line class="hg-axis" x1="${PAD.left}"
      x2="${PAD.left + wide()}" y1="${floor}" y2="${floor}"></line>${ticks.join('')}
      <text x="${PAD.left + wide() / 2}" y="${HEIGHT - 4}" text-anchor="middle" class="hg-label"/>`;
    svg.querySelector('.hg-label').textContent = q.title + (q.unit ? `, ${q.unit}` : '');
    svg.setAttribute('aria-label', `Histogram of ${q.title}. Arrow keys choose a bar, with Shift `
      + 'they widen or narrow the range, Escape clears it.');
    clear.hidden = !range;
    find('.hg-foot span').textContent = range ? about(q, first, last)
      : 'Drag over the bars to select some of them.';
  }

  function about(q, first, last) {
    const n = q.counts.slice(first, last + 1).reduce((a, b) => a + b, 0);
    const each = (q.edges[q.counts.length] - q.edges[0]) / q.counts.length;
    // as many digits as tell the two edges of one bar apart
    const written = q.log
      ? (e) => said(+(10 ** e).toPrecision(Math.max(2, 1 + Math.ceil(-Math.log10(10 ** each - 1)))))
      : (e) => said(e, clamped(-Math.floor(Math.log10(each)), 0, 12));
    const [low, high] = [q.edges[first], q.edges[last + 1]].map(written);
    return `${n.toLocaleString('en')} of ${data.total.toLocaleString('en')} with `
      + `${q.title[0].toLowerCase()}${q.title.slice(1)} ${low} to ${high}${q.unit ? ` ${q.unit}` : ''}`;
  }

  function tell() {
    untold = false;
    const q = chosen();
    const [first, last] = range ? inOrder(...range) : [];
    const ends = range ? [real(q, q.edges[first]), real(q, q.edges[last + 1])] : [null, null];
    emit('ranged', { name, low: ends[0], high: ends[1] });
  }

  /** Another range, and tell so; null for none. */
  function select(next) {
    [range, dragging] = [next, false];
    draw();
    tell();
  }

  svg.onpointerdown = (event) => {
    if (event.button || dragging) return;
    svg.setPointerCapture(event.pointerId);
    before = range;
    dragging = true;
    const bar = barAt(event);
    range = [bar, bar];
    draw();
  };
  svg.onpointermove = (event) => {
    if (!dragging || barAt(event) === range[1]) return;
    range = [range[0], barAt(event)];
    draw();
  };
  svg.onpointerup = () => {
    if (dragging) select(range);
  };
  svg.onpointercancel = () => { // the finger scrolls the page instead
    if (!dragging) return;
    [range, dragging] = [before, false];
    draw();
  };
  svg.onkeydown = (event) => {
    if (event.key === 'Escape' && range) return select(null);
    const last = chosen().counts.length - 1;
    const end = range?.[1];
    const to = {
      ArrowLeft: clamped((end ?? last + 1) - 1, 0, last), Home: 0,
      ArrowRight: clamped((end ?? -1) + 1, 0, last), End: last,
    }[event.key];
    if (to === undefined || dragging || event.ctrlKey || event.altKey || event.metaKey) return undefined;
    event.preventDefault();
    range = [event.shiftKey && range ? range[0] : to, to];
    untold = true;
    return draw();
  };
  svg.onkeyup = svg.onblur = () => { // not at every repetition of a key that is held
    if (untold) tell();
  };
  clear.onclick = () => {
    svg.focus({ focusVisible: false, preventScroll: true }); // the button is about to go
    select(null);
  };
  small.onchange = draw;
  new ResizeObserver(draw).observe(home);

  return { show };
}
