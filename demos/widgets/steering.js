// Hands on an orbit: mouse, pen, fingers, wheel and keys turn it, zoom it and move it.
//
// A press that stays where it was is a click. Up and down, one finger scrolls the page; two are
// always ours.

const { search } = new URL(import.meta.url); // the version: see base.py
const { basis, clamped, plus, viewOf } = await import(`./orbit_camera.js${search}`);

const SLACK = { mouse: 4, pen: 6, touch: 10 }; // css px: less movement is still a click
const NEAR = { mouse: 7, pen: 9, touch: 14 }; // css px: such a line is meant
const ACROSS = 200; // degrees of a drag over the whole width
const STEP = 5; // degrees of an arrow key
const CLOSER = 1.15; // zoom of one key press
const SPEED = 0.7; // of flying, radii a second; with Shift three times that
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const FLIES = /^Key[WASDQE]$/;

const apart = ([a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
const shift = (from, to) => [to[0] - from[0], to[1] - from[1]];
const middleOf = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

/** Lets hands on the canvas steer.
 *
 * view(): {orbit, width, height}, where the camera is, null while there is none, and css px.
 * move(change): some of the orbit's numbers become these. reset(): back to the start.
 * frusta: the cameras over the view, to be pointed at. click(index, place): the camera with this
 * index was clicked, or none (-1); place in css px. keys: {key: action} besides those that steer.
 * wake(): a key of flying is down, so `fly` should be called with every frame; without it nothing
 * flies. */
export function steer(canvas, { view, move, reset, frusta, click, keys, wake }) {
  const turn = (azimuth, elevation) => {
    const { azimuth_deg, elevation_deg } = view().orbit;
    move({ azimuth_deg: azimuth_deg + azimuth, elevation_deg: elevation_deg + elevation });
  };
  const zoom = (factor) => move({ radius: view().orbit.radius / factor });
  /** Moves what is seen at the target's depth by so many css px. */
  const pan = ([dx, dy]) => {
    const { orbit, width, height } = view();
    const { right, down, focal } = viewOf(orbit, width, height);
    const away = -orbit.radius / focal;
    move({ target: plus(plus(orbit.target, right, dx * away), down, dy * away) });
  };

  // ------------------------------------------------------------ mouse, pen and fingers

  const fingers = new Map(); // pointer id → css place, of each button or finger that is down
  let press = null; // {at, pans, dragged}
  let scrolled = false; // the page was scrolled and the pointer hasn't moved since

  const placeOf = ({ clientX, clientY }) => {
    const { left, top } = canvas.getBoundingClientRect();
    return [clientX - left, clientY - top];
  };
  const cameraAt = (event) => frusta.at(placeOf(event), NEAR[event.pointerType] ?? NEAR.mouse);

  canvas.onpointerdown = (event) => {
    if (!view().orbit) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, placeOf(event));
    const pans = event.button > 0 || event.shiftKey || event.ctrlKey;
    press = { at: placeOf(event), pans, dragged: fingers.size > 1 };
  };
  canvas.onpointermove = (event) => {
    const { orbit, width } = view();
    if (!orbit) return;
    const css = placeOf(event);
    const old = fingers.get(event.pointerId);
    if (event.movementX || event.movementY) scrolled = false;
    if (!old) return frusta.hover(cameraAt(event));
    const before = [...fingers.values()];
    fingers.set(event.pointerId, css);
    const now = [...fingers.values()];
    if (now.length === 2) {
      zoom(apart(now) / apart(before));
      pan(shift(middleOf(before), middleOf(now)));
    } else if (now.length === 1) {
      const way = shift(press.dragged ? old : press.at, css);
      const slack = SLACK[event.pointerType] ?? SLACK.mouse;
      if (!press.dragged && Math.hypot(...way) <= slack) return;
      press.dragged = true;
      canvas.dataset.dragged = '';
      frusta.hover(-1);
      if (press.pans) pan(way);
      else turn((-ACROSS * way[0]) / width, (ACROSS * way[1]) / width);
    }
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    const known = fingers.delete(event.pointerId);
    if (!known || fingers.size) return;
    delete canvas.dataset.dragged;
    if (event.type !== 'pointerup' || press.dragged || press.pans) return;
    click(cameraAt(event), placeOf(event));
  };
  canvas.onpointerleave = (event) => {
    if (event.pointerType === 'mouse') frusta.hover(-1);
  };
  canvas.oncontextmenu = (event) => event.preventDefault();
  canvas.onmousedown = (event) => {
    if (event.button === 1) event.preventDefault(); // or the page would begin to scroll by itself
  };
  canvas.addEventListener('wheel', (event) => {
    if (!view().orbit || (scrolled && !event.ctrlKey)) return; // a page scrolled under it at rest
    event.preventDefault();
    const ticks = clamped(event.deltaY * (event.deltaMode ? 30 : 1), -200, 200);
    zoom(Math.exp(-ticks * (event.ctrlKey ? 0.01 : 0.0015)));
  }, { passive: false });
  window.addEventListener('scroll', () => { scrolled = true; }, { capture: true, passive: true });
  for (const type of ['touchstart', 'touchmove']) {
    canvas.addEventListener(type, (event) => {
      if (event.touches.length > 1) event.preventDefault();
    }, { passive: false });
  }

  // ------------------------------------------------------------ keyboard

  const held = new Set(); // keys of flying that are down
  let flewAt = 0;
  let hurry = false;
  const actions = {
    '+': () => zoom(CLOSER), '=': () => zoom(CLOSER), '-': () => zoom(1 / CLOSER), Home: reset,
    ...keys,
  };

  canvas.onkeydown = (event) => {
    const { orbit, width } = view();
    if (!orbit || event.ctrlKey || event.metaKey) return;
    if (wake && event.altKey) return; // Alt+D and Alt+E are the browser's
    const way = WAYS[event.key];
    hurry = event.shiftKey;
    // The eye goes where the arrow points, so what is seen goes the other way.
    if (way && event.shiftKey) pan([-0.05 * width * way[0], 0.05 * width * way[1]]);
    else if (way) turn(STEP * way[0], STEP * way[1]);
    else if (wake && FLIES.test(event.code)) {
      if (!held.size) flewAt = performance.now();
      held.add(event.code);
      wake();
    } else if (actions[event.key]) actions[event.key]();
    else return;
    event.preventDefault();
  };
  canvas.onkeyup = (event) => {
    hurry = event.shiftKey;
    held.delete(event.code);
  };
  canvas.onblur = () => {
    held.clear();
    frusta.hover(-1);
  };

  /** Moves eye and target along while a key of flying is down. now: of this frame, ms. */
  function fly(now) {
    const seconds = Math.min(0.1, (now - flewAt) / 1000);
    flewAt = now;
    if (!held.size || !(seconds > 0)) return;
    const { orbit } = view();
    const { right, down, ahead } = basis(orbit);
    const far = SPEED * orbit.radius * seconds * (hurry ? 3 : 1);
    const go = (more, less) => far * (held.has(more) - held.has(less));
    const side = plus(orbit.target, right, go('KeyD', 'KeyA'));
    move({ target: plus(plus(side, down, go('KeyQ', 'KeyE')), ahead, go('KeyW', 'KeyS')) });
  }

  return { fly, flies: () => held.size > 0 };
}
