// Two pictures and the matches between them, on one canvas.
//
// The server sends everything once. Hiding a kind, showing fewer, hovering and stepping are all
// done here. There are two frames of coordinates: pixels of the full picture, and CSS pixels of
// the canvas. `layout` makes the only link between them: css = offset + scale * picture.

const NEAR = matchMedia('(pointer: coarse)').matches ? 16 : 8; // css px: such a dot is meant
const STACK_BELOW = 560; // css px: a narrower widget puts one picture below the other
const TALLEST = 620; // css px
const GAP = 12; // css px between the pictures
const FEWEST = 5; // the slider's lower end
const OKABE_ITO = ['#0072b2', '#e69f00', '#999999', '#cc79a7', '#009e73'];

const STYLE = `
.mv { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4; }
.dark .mv { color-scheme: dark; }
.mv-bar { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: center; margin-bottom: 8px; }
.mv-legend { display: flex; flex-wrap: wrap; gap: 6px; }
.mv .mv-chip { display: inline-flex; align-items: center; gap: 7px; min-height: 32px; margin: 0;
  padding: 3px 11px; border-radius: 16px; font: inherit; color: inherit; cursor: pointer;
  border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.mv-chip i { width: 11px; height: 11px; border-radius: 50%; border: 2px solid var(--mv-colour);
  background: var(--mv-colour); }
.mv-chip b { font-weight: 700; font-variant-numeric: tabular-nums; }
.mv .mv-chip[aria-pressed=false] { text-decoration: line-through; background: transparent; }
.mv-chip[aria-pressed=false] i { background: transparent; }
.mv .mv-option { display: inline-flex; align-items: center; gap: 6px; min-height: 32px; cursor: pointer; }
.mv .mv-option input { accent-color: var(--color-accent, #2563eb); margin: 0; }
.mv .mv-option input[type=checkbox] { appearance: auto; width: 16px; height: 16px; }
.mv .mv-option input[type=range] { width: 130px; }
.mv-option output { min-width: 8.5em; font-variant-numeric: tabular-nums; }
.mv canvas { display: block; width: 100%; border-radius: 4px; cursor: crosshair;
  touch-action: manipulation; }
.mv-chip:focus-visible, .mv canvas:focus-visible { outline: 2px solid var(--body-text-color, #1f2937);
  outline-offset: 2px; }
.mv-readout { min-height: 1.5em; margin-top: 6px; font-variant-numeric: tabular-nums; }
.mv [hidden] { display: none; }
`;

/** Where both pictures lie: `[{x, y, scale, width, height}, …]` in css px, and the height. */
export function layout(width, sizes) {
  if (width < STACK_BELOW) {
    let y = 0;
    const frames = sizes.map(([w, h]) => {
      const scale = Math.min(width / w, TALLEST / h);
      const frame = { x: (width - w * scale) / 2, y, scale, width: w * scale, height: h * scale };
      y += frame.height + GAP;
      return frame;
    });
    return { frames, height: y - GAP };
  }
  const aspects = sizes.map(([w, h]) => w / h);
  const height = Math.min(TALLEST, (width - GAP) / (aspects[0] + aspects[1]));
  let x = (width - GAP - height * (aspects[0] + aspects[1])) / 2;
  const frames = sizes.map(([, h], view) => {
    const frame = { x, y: 0, scale: height / h, width: height * aspects[view], height };
    x += frame.width + GAP;
    return frame;
  });
  return { frames, height };
}

/** How many matches the slider at `share` in [0, 1] shows: even steps of the logarithm. */
export function shownAt(share, total) {
  return total <= FEWEST ? total : Math.round(FEWEST * (total / FEWEST) ** share);
}

export function mount(home, { emit, url }) {
  home.innerHTML = `<style>${STYLE}</style><div class="mv">
    <div class="mv-bar" hidden>
      <div class="mv-legend" role="group" aria-label="Kinds of match, on or off"></div>
      <label class="mv-option"><input type="checkbox" data-is="lines" checked>lines</label>
      <label class="mv-option"><input type="checkbox" data-is="keypoints">keypoints</label>
      <label class="mv-option">show
        <input type="range" data-is="show" min="0" max="1" step="0.005" value="1">
        <output></output></label>
    </div>
    <canvas tabindex="0" role="img" hidden></canvas>
    <div class="mv-readout" role="status"></div></div>`;
  const find = (selector) => home.querySelector(selector);
  const canvas = find('canvas');
  const readout = find('.mv-readout');
  const legend = find('.mv-legend');
  const lines = find('[data-is=lines]');
  const keypoints = find('[data-is=keypoints]');
  const slider = find('[data-is=show]');
  // Two layers are kept, so that a hover costs two copies however many matches there are.
  const pictureLayer = document.createElement('canvas');
  const matchLayer = document.createElement('canvas');

  let data = null;
  let pictures = [null, null];
  let place = null; // what layout() returned
  let width = 0; // css px
  let limit = Infinity; // matches shown at most
  const off = new Map(); // class name → hidden; remembered when a new value comes
  let hover = -1; // match under the pointer or stepped to
  let selected = -1;
  let cross = null; // {view, x, y}: the place clicked last
  let stale = true; // the layers must be drawn again
  let waiting = false;

  const classOf = (i) => data.classes[data.state[i]];
  const isShown = (i) => i >= 0 && i < Math.min(limit, data.state.length) && !off.get(classOf(i).name);
  const toCss = (view, [x, y]) => {
    const { frames } = place;
    return [frames[view].x + frames[view].scale * x, frames[view].y + frames[view].scale * y];
  };
  const ends = (i) => [toCss(0, data.points0[i]), toCss(1, data.points1[i])];

  function show(value) {
    const fresh = !data || !value || value.image0 !== data.image0 || value.image1 !== data.image1;
    data = value && value.size0 && value.size1 ? { ...value } : null;
    hover = -1;
    for (const part of [find('.mv-bar'), canvas]) part.hidden = !data;
    if (!data) {
      readout.textContent = 'No matches yet.';
      return;
    }
    for (const name of ['points0', 'points1', 'state']) data[name] = data[name] ?? [];
    data.classes = (data.classes ?? []).map((kind, i) => ({
      ...kind,
      colour: kind.colour ?? OKABE_ITO[i % OKABE_ITO.length],
      count: data.state.filter((s) => s === i).length,
    }));
    for (const { name, hidden } of data.classes) if (!off.has(name)) off.set(name, !!hidden);
    selected = data.selected ?? -1;
    if (data.show !== undefined && fresh) limit = data.show ?? Infinity;
    keypoints.parentElement.hidden = !data.keypoints0 && !data.keypoints1;
    drawLegend();
    setSlider();
    if (fresh) load();
    resize();
  }

  function load() {
    cross = null;
    pictures = [null, null];
    const loading = pictures; // a later value makes another list, and these then come too late
    [data.image0, data.image1].forEach((address, view) => {
      const picture = new Image();
      picture.onload = () => {
        loading[view] = picture;
        if (loading === pictures) redraw();
      };
      if (address) picture.src = url(address);
    });
  }

  function drawLegend() {
    legend.replaceChildren(...data.classes.map(({ name, colour, count }) => {
      const chip = document.createElement('button');
      chip.type = 'button';
      chip.className = 'mv-chip';
      chip.style.setProperty('--mv-colour', colour);
      chip.setAttribute('aria-pressed', String(!off.get(name)));
      const number = document.createElement('b');
      number.textContent = count;
      chip.append(document.createElement('i'), name, number);
      chip.onclick = () => {
        off.set(name, !off.get(name));
        chip.setAttribute('aria-pressed', String(!off.get(name)));
        redraw();
      };
      return chip;
    }));
    const kinds = data.classes.map(({ name, count }) => `${count} ${name}`).join(', ');
    canvas.setAttribute('aria-label', `Two pictures with ${data.state.length} matches`
      + `${kinds && `: ${kinds}`}. Left and right arrows step through them, Enter picks one.`);
  }

  function setSlider() {
    const total = data.state.length;
    const shown = Math.min(limit, total);
    slider.disabled = total <= FEWEST;
    if (shown < total && document.activeElement !== slider) {
      slider.value = Math.log(shown / FEWEST) / Math.log(total / FEWEST);
    } else if (shown === total) slider.value = 1;
    const text = shown < total ? `best ${shown} of ${total}` : `all ${total}`;
    find('output').textContent = text;
    slider.setAttribute('aria-valuetext', text);
  }

  function resize() {
    width = home.clientWidth;
    if (!data || !width) return;
    place = layout(width, [data.size0, data.size1]);
    const ratio = window.devicePixelRatio || 1;
    for (const layer of [canvas, pictureLayer, matchLayer]) {
      layer.width = Math.round(width * ratio);
      layer.height = Math.round(place.height * ratio);
    }
    canvas.style.height = `${place.height}px`;
    redraw();
  }

  function redraw(layers = true) {
    stale ||= layers;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (data && place) paint();
    });
  }

  function pen(layer) {
    const context = layer.getContext('2d');
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, width, place.height);
    context.lineCap = 'round';
    return context;
  }

  function paint() {
    if (stale) {
      paintPictures(pen(pictureLayer));
      paintMatches(pen(matchLayer));
      stale = false;
    }
    const context = pen(canvas);
    context.drawImage(pictureLayer, 0, 0, width, place.height);
    context.globalAlpha = isShown(hover) ? 0.25 : 1;
    context.drawImage(matchLayer, 0, 0, width, place.height);
    context.globalAlpha = 1;
    for (const { view, segment } of data.lines ?? []) {
      clipped(context, view, () => cased(context, '#ffd400', 2, () => {
        context.moveTo(...toCss(view, segment.slice(0, 2)));
        context.lineTo(...toCss(view, segment.slice(2)));
      }));
    }
    if (cross) paintCross(context, toCss(cross.view, [cross.x, cross.y]));
    for (const i of new Set([selected, hover])) if (isShown(i)) paintOne(context, i);
  }

  function paintPictures(context) {
    place.frames.forEach((frame, view) => {
      context.fillStyle = 'rgba(128, 128, 128, 0.2)';
      context.fillRect(frame.x, frame.y, frame.width, frame.height);
      const picture = pictures[view];
      if (!picture) return;
      context.imageSmoothingEnabled = frame.width < 3 * picture.naturalWidth; // enlarged: crisp
      context.imageSmoothingQuality = 'high';
      context.drawImage(picture, frame.x, frame.y, frame.width, frame.height);
    });
  }

  function paintMatches(context) {
    if (keypoints.checked) [data.keypoints0, data.keypoints1].forEach((points, view) => {
      if (points) clipped(context, view, () => paintKeypoints(context, points, view));
    });
    const last = Math.min(limit, data.state.length) - 1;
    context.lineWidth = 1.25;
    context.globalAlpha = 0.75;
    // Worst first, so that the best lie on top.
    for (let i = last; lines.checked && i >= 0; i--) {
      if (!isShown(i)) continue;
      const [from, to] = ends(i);
      context.strokeStyle = classOf(i).colour;
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    }
    context.globalAlpha = 1;
    context.lineWidth = 1;
    context.strokeStyle = 'rgba(0, 0, 0, 0.7)';
    for (let i = last; i >= 0; i--) {
      if (!isShown(i)) continue;
      context.fillStyle = classOf(i).colour;
      for (const [x, y] of ends(i)) {
        context.beginPath();
        context.arc(x, y, 3, 0, 2 * Math.PI);
        context.fill();
        context.stroke();
      }
    }
  }

  function paintKeypoints(context, points, view) {
    const { scale } = place.frames[view];
    points.xy.forEach((xy, k) => {
      const [x, y] = toCss(view, xy);
      const radius = Math.max(2, ((points.size?.[k] ?? 0) / 2) * scale);
      const angle = points.angle?.[k]; // degrees clockwise from +x: canvas's own sense, y is down
      cased(context, '#ffffff', 1, () => {
        context.arc(x, y, radius, 0, 2 * Math.PI);
        if (angle === null || angle === undefined) return;
        const turn = (angle * Math.PI) / 180;
        context.moveTo(x, y);
        context.lineTo(x + radius * Math.cos(turn), y + radius * Math.sin(turn));
      });
    });
  }

  function paintOne(context, i) {
    const [from, to] = ends(i);
    const { colour } = classOf(i);
    cased(context, colour, 3, () => {
      context.moveTo(...from);
      context.lineTo(...to);
    });
    for (const [x, y] of [from, to]) {
      cased(context, colour, 3, () => context.arc(x, y, 7, 0, 2 * Math.PI));
    }
  }

  function paintCross(context, [x, y]) {
    cased(context, '#ffd400', 2, () => {
      for (const [dx, dy] of [[1, 0], [0, 1]]) {
        context.moveTo(x - 7 * dx, y - 7 * dy);
        context.lineTo(x + 7 * dx, y + 7 * dy);
      }
    });
  }

  // A dark line below a bright one can be seen on any picture.
  function cased(context, colour, thickness, trace) {
    context.beginPath();
    trace();
    context.strokeStyle = 'rgba(0, 0, 0, 0.7)';
    context.lineWidth = thickness + 2;
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.stroke();
  }

  function clipped(context, view, draw) {
    const { x, y, width: w, height: h } = place.frames[view];
    context.save();
    context.beginPath();
    context.rect(x, y, w, h);
    context.clip();
    draw();
    context.restore();
  }

  function nearest([px, py]) {
    let best = -1;
    let least = NEAR;
    for (let i = 0; i < Math.min(limit, data.state.length); i++) {
      if (!isShown(i)) continue;
      for (const [x, y] of ends(i)) {
        const distance = Math.hypot(px - x, py - y);
        if (distance < least) [best, least] = [i, distance];
      }
    }
    return best;
  }

  function highlight(i) {
    hover = i;
    const told = isShown(i) ? i : isShown(selected) ? selected : -1;
    readout.textContent = told < 0 ? 'Point at a dot to see its match, click to pick it.'
      : `match ${told}: ${classOf(told).name}${told === selected ? ' (picked)' : ''}`;
    redraw(false);
  }

  function pick(i) {
    selected = i;
    cross = null;
    highlight(i);
    emit('picked', { index: i });
  }

  function point([px, py]) {
    const view = place.frames.findIndex(({ x, y, width: w, height: h }) =>
      px >= x && px <= x + w && py >= y && py <= y + h);
    if (view < 0) return;
    const { x, y, scale } = place.frames[view];
    cross = { view, x: (px - x) / scale, y: (py - y) / scale };
    redraw(false);
    emit('pointed', cross);
  }

  const pointer = ({ clientX, clientY }) => {
    const box = canvas.getBoundingClientRect();
    return [clientX - box.left, clientY - box.top];
  };
  canvas.onpointermove = (event) => {
    const i = nearest(pointer(event));
    if (i !== hover) highlight(i);
  };
  canvas.onpointerleave = () => highlight(-1);
  canvas.onclick = (event) => {
    const i = nearest(pointer(event));
    if (i < 0) point(pointer(event));
    else pick(i);
  };
  canvas.onblur = () => highlight(-1);
  canvas.onkeydown = (event) => {
    const order = data.state.map((_, i) => i).filter(isShown);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && order.length) {
      const at = order.indexOf(isShown(hover) ? hover : selected);
      const next = at < 0 ? (step > 0 ? 0 : order.length - 1) : at + step;
      highlight(order[(next + order.length) % order.length]);
    } else if (event.key === 'Enter' && isShown(hover)) pick(hover);
    else if (event.key === 'Escape') highlight(-1);
    else return;
    event.preventDefault();
  };
  lines.onchange = () => redraw();
  keypoints.onchange = () => redraw();
  slider.oninput = () => {
    limit = +slider.value === 1 ? Infinity : shownAt(+slider.value, data.state.length);
    setSlider();
    redraw();
  };
  new ResizeObserver(() => {
    if (home.clientWidth !== width) resize();
  }).observe(home);

  return {
    show(value) {
      show(value);
      if (data) highlight(-1);
    },
  };
}
