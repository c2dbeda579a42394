// A picture warped into the quadrilateral of four corners that can be dragged.
//
// Four point pairs fix a homography (8 unknowns, 8 equations). The browser applies it to an
// <img> as a 4×4 CSS matrix, so the warp is live and needs no pixels from the server.

const MARGIN = 0.3; // share of the picture that a corner can be moved outwards
const TALLEST = 400; // css px of the unwarped picture
const LEAST_AREA = 0.02; // share of the picture: each corner's triangle stays larger than half this
const CORNERS = ['Top left', 'Top right', 'Bottom right', 'Bottom left'];
const HOME = [[0, 0], [1, 0], [1, 1], [0, 1]]; // in shares of width and height

const STYLE = `
.cw { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4; }
.cw-stage { position: relative; margin: 0 auto; overflow: hidden; border-radius: 6px;
  background: var(--background-fill-secondary, #f4f4f5);
  box-shadow: inset 0 0 0 1px var(--border-color-primary, #d4d4d8); }
.cw-stage img { position: absolute; left: 0; top: 0; max-width: none; transform-origin: 0 0;
  pointer-events: none; user-select: none; }
.cw-stage svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.cw-stage polygon { fill: none; vector-effect: non-scaling-stroke; }
.cw-before { stroke: var(--body-text-color, #6b7280); opacity: 0.6; stroke-dasharray: 5 5; }
.cw-now { stroke: var(--color-accent, #2563eb); stroke-width: 2; }
.cw .cw-handle { position: absolute; width: 32px; height: 32px; transform: translate(-50%, -50%); padding: 0;
  border: 0; border-radius: 50%; background: transparent; cursor: grab; touch-action: none; }
.cw-handle::after { content: ''; position: absolute; inset: 8px; border-radius: 50%;
  background: var(--color-accent, #2563eb); border: 2px solid #fff;
  box-shadow: 0 0 0 1.5px rgba(0, 0, 0, 0.7); }
.cw-handle:hover::after { inset: 6px; }
.cw-handle:active { cursor: grabbing; }
.cw-handle:focus-visible, .cw-reset:focus-visible { outline: 2px solid var(--body-text-color, #1f2937);
  outline-offset: 1px; }
.cw-bar { display: flex; gap: 12px; align-items: center; justify-content: space-between;
  min-height: 36px; margin-top: 8px; }
.cw-readout { font-variant-numeric: tabular-nums; }
.cw .cw-reset { min-height: 32px; padding: 3px 12px; border-radius: 6px; font: inherit; color: inherit;
  cursor: pointer; white-space: nowrap; border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.cw [hidden] { display: none; }
`;

/** Whether a quadrilateral turns the same way at each corner, by a margin, in shares. */
export function isConvex(quad) {
  return quad.every(([x, y], i) => {
    const [ax, ay] = quad[(i + 3) % 4];
    const [bx, by] = quad[(i + 1) % 4];
    return (x - ax) * (by - y) - (y - ay) * (bx - x) > LEAST_AREA;
  });
}

/** The homography, as 9 numbers row by row, that takes the corners of the unit square to quad. */
export function fromUnitSquare([[x0, y0], [x1, y1], [x2, y2], [x3, y3]]) {
  // At corner 2 the two far sides meet; g and h are how fast they close in (0 for a parallelogram).
  const [ex, ey] = [x0 - x1 + x2 - x3, y0 - y1 + y2 - y3];
  const [ax, ay, bx, by] = [x1 - x2, y1 - y2, x3 - x2, y3 - y2];
  const area = ax * by - bx * ay;
  const g = (ex * by - bx * ey) / area;
  const h = (ax * ey - ex * ay) / area;
  return [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h, 1];
}

export function mount(home, { emit, url }) {
  home.innerHTML = `<style>${STYLE}</style><div class="cw">
    <div class="cw-stage" hidden><img alt="The picture, warped" draggable="false">
      <svg viewBox="${-MARGIN} ${-MARGIN} ${1 + 2 * MARGIN} ${1 + 2 * MARGIN}"
        preserveAspectRatio="none" aria-hidden="true">
        <polygon class="cw-before" points="${HOME.join(' ')}"></polygon>
        <polygon class="cw-now"></polygon></svg>
      ${CORNERS.map(() => '<button type="button" class="cw-handle"></button>').join('')}
    </div>
    <div class="cw-bar"><span class="cw-readout" role="status"></span>
      <button type="button" class="cw-reset" hidden>Reset corners</button></div></div>`;
  const find = (selector) => home.querySelector(selector);
  const stage = find('.cw-stage');
  const picture = find('img');
  const handles = [...home.querySelectorAll('.cw-handle')];
  const readout = find('.cw-readout');

  let data = null;
  let moves = new Array(8).fill(0); // shares: dx, dy of each corner
  let sent = moves.join();
  let grip = null; // while dragging: {dx, dy} from the pointer to the corner, css px
  let last = 0; // corner moved last

  const quadOf = (m) => HOME.map(([x, y], k) => [x + m[2 * k], y + m[2 * k + 1]]);
  const cssSize = () => {
    const across = Math.min(
      home.clientWidth / (1 + 2 * MARGIN), (TALLEST * data.width) / data.height,
    );
    return [across, (across * data.height) / data.width];
  };

  function show(value) {
    data = value && value.image ? value : null;
    for (const part of [stage, find('.cw-reset')]) part.hidden = !data;
    if (!data) {
      readout.textContent = 'No picture yet.';
      return;
    }
    if (picture.dataset.from !== data.image) {
      picture.dataset.from = data.image;
      picture.src = url(data.image);
    }
    if (!grip) {
      const given = data.corners ?? [];
      moves = given.length === 8 && isConvex(quadOf(given)) ? [...given] : new Array(8).fill(0);
      sent = moves.join();
    }
    draw();
  }

  function draw() {
    if (!data || !home.clientWidth) return;
    const [width, height] = cssSize();
    stage.style.width = `${width * (1 + 2 * MARGIN)}px`;
    stage.style.height = `${height * (1 + 2 * MARGIN)}px`;
    const quad = quadOf(moves);
    const place = quad.map(([x, y]) => [(x + MARGIN) * width, (y + MARGIN) * height]);
    // The picture is width × height px, the homography wants a unit square: divide columns.
    const [a, b, c, d, e, f, g, h] = fromUnitSquare(place);
    picture.style.width = `${width}px`;
    picture.style.height = `${height}px`;
    picture.style.transform = `matrix3d(${[
      a / width, d / width, 0, g / width, b / height, e / height, 0, h / height, 0, 0, 1, 0, c, f, 0, 1,
    ]})`;
    find('.cw-now').setAttribute('points', quad.join(' '));
    handles.forEach((handle, k) => {
      handle.style.left = `${place[k][0]}px`;
      handle.style.top = `${place[k][1]}px`;
      handle.setAttribute('aria-label', `${CORNERS[k]} corner, ${told(k)}. `
        + 'Arrow keys move it 1 pixel, with Shift 10.');
    });
    readout.textContent = moves.some((m) => m) ? `${CORNERS[last]} ${told(last)}.`
      : 'Drag a corner.';
  }

  function told(k) {
    const dx = Math.round(moves[2 * k] * data.width);
    const dy = Math.round(moves[2 * k + 1] * data.height);
    return dx || dy ? `moved ${dx}, ${dy} px` : 'not moved';
  }

  // Moves a corner to (x, y) shares, or as far towards it as stays on the stage and convex.
  function move(k, x, y) {
    const inside = (v) => Math.min(1 + MARGIN, Math.max(-MARGIN, v));
    const aim = [inside(x) - HOME[k][0], inside(y) - HOME[k][1]];
    const from = moves.slice(2 * k, 2 * k + 2);
    const at = (t) => {
      const tried = [...moves];
      for (const i of [0, 1]) tried[2 * k + i] = from[i] + t * (aim[i] - from[i]);
      return tried;
    };
    let share = 1;
    if (!isConvex(quadOf(at(1)))) {
      let [good, bad] = [0, 1];
      for (let i = 0; i < 12; i++) {
        const middle = (good + bad) / 2;
        if (isConvex(quadOf(at(middle)))) good = middle;
        else bad = middle;
      }
      share = good;
    }
    moves = at(share);
    last = k;
    draw();
  }

  function release() {
    const rounded = moves.map((m) => Math.round(m * 1e6) / 1e6);
    if (rounded.join() === sent) return;
    sent = rounded.join();
    emit('warped', { corners: rounded });
  }

  handles.forEach((handle, k) => {
    const toStage = (event) => {
      const box = stage.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    handle.onpointerdown = (event) => {
      handle.setPointerCapture(event.pointerId);
      const [px, py] = toStage(event);
      grip = { dx: parseFloat(handle.style.left) - px, dy: parseFloat(handle.style.top) - py };
    };
    handle.onpointermove = (event) => {
      if (!grip || !handle.hasPointerCapture(event.pointerId)) return;
      const [px, py] = toStage(event);
      const [width, height] = cssSize();
      move(k, (px + grip.dx) / width - MARGIN, (py + grip.dy) / height - MARGIN);
    };
    handle.onpointerup = handle.onpointercancel = () => {
      if (grip) release();
      grip = null;
    };
    handle.onkeydown = (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const [x, y] = quadOf(moves)[k];
      const px = event.shiftKey ? 10 : 1;
      move(k, x + (way[0] * px) / data.width, y + (way[1] * px) / data.height);
    };
    handle.onkeyup = release;
  });
  find('.cw-reset').onclick = () => {
    moves = new Array(8).fill(0);
    draw();
    release();
  };
  new ResizeObserver(draw).observe(home);

  return { show };
}
