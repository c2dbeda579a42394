// Two pictures in one place, so that the eye can find where they disagree.
//
// Swipe and blend are for browsing, flicker turns a small shift into a motion that is hard to
// miss, and difference shows equal pixels as black.

const MODES = ['swipe', 'blend', 'flicker', 'difference'];
const TALLEST = 560; // css px
const SWAP_MS = 250; // 2 Hz: each picture is seen twice a second

const STYLE = `
.ov { color: var(--body-text-color, #1f2937); font-size: 14px; line-height: 1.4; }
.dark .ov { color-scheme: dark; }
.ov-bar { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; min-height: 36px;
  margin-bottom: 8px; }
.ov-modes { display: flex; flex-wrap: wrap; gap: 6px; }
.ov .ov-bar button { min-height: 32px; padding: 3px 12px; border-radius: 6px; font: inherit; color: inherit;
  cursor: pointer; border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); text-transform: none; }
.ov .ov-bar button[aria-pressed=true] { color: var(--background-fill-primary, #fff);
  background: var(--body-text-color, #1f2937); border-color: var(--body-text-color, #1f2937); }
/* As wide whatever it holds: the picture below must not jump when the mode changes. */
.ov-tool { flex: 1 1 270px; display: flex; gap: 8px; align-items: center; min-height: 34px; }
.ov-tool label { display: inline-flex; gap: 8px; align-items: center; }
.ov-tool input { width: 120px; min-width: 60px; accent-color: var(--color-accent, #2563eb); }
.ov-stage { position: relative; margin: 0 auto; overflow: hidden; border-radius: 4px;
  isolation: isolate; background: #000; }
.ov-stage img { position: absolute; inset: 0; width: 100%; height: 100%; max-width: none; margin: 0;
  pointer-events: none; user-select: none; }
.ov-stage[data-mode=swipe] { cursor: ew-resize; touch-action: pan-y; }
.ov-divider { position: absolute; top: 0; bottom: 0; width: 32px; margin-left: -16px;
  cursor: ew-resize; outline: none; }
.ov-divider::before { content: ''; position: absolute; left: 15px; width: 2px; top: 0; bottom: 0;
  background: #fff; box-shadow: 0 0 0 1px rgba(0, 0, 0, 0.6); }
.ov-divider::after { content: '↔'; position: absolute; left: 0; top: calc(50% - 16px); width: 32px;
  height: 32px; border-radius: 50%; background: #fff; color: #111; font-size: 18px; line-height: 32px;
  text-align: center; white-space: nowrap; box-shadow: 0 0 0 1px rgba(0, 0, 0, 0.6); }
.ov-divider:focus-visible::after { box-shadow: 0 0 0 3px var(--color-accent, #2563eb), 0 0 0 5px #fff; }
.ov-name { position: absolute; top: 8px; max-width: 45%; padding: 1px 8px; border-radius: 4px;
  font-size: 13px; color: #fff; background: rgba(0, 0, 0, 0.72); pointer-events: none;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ov-name:nth-of-type(1) { left: 8px; }
.ov-name:nth-of-type(2) { right: 8px; }
.ov button:focus-visible { outline: 2px solid var(--body-text-color, #1f2937); outline-offset: 2px; }
.ov [hidden] { display: none; }
`;

export function mount(home, { url }) {
  home.innerHTML = `<style>${STYLE}</style><div class="ov">
    <div class="ov-bar" hidden>
      <div class="ov-modes" role="group" aria-label="How to compare">${MODES.map((mode) =>
    `<button type="button" data-mode="${mode}">${mode[0].toUpperCase()}${mode.slice(1)}</button>`)
    .join('')}</div>
      <div class="ov-tool">
        <label data-for="blend"><span data-name="0"></span><input type="range" min="0" max="100"
          value="50" aria-label="Share of the second picture, percent"><span data-name="1"></span>
        </label>
        <button type="button" data-for="flicker"></button>
        <label data-for="difference">gain <input type="range" min="1" max="10" step="0.5" value="1">
          <output>×1</output></label>
      </div></div>
    <div class="ov-stage" hidden><img class="ov-below"><img class="ov-above">
      <div class="ov-divider" role="slider" tabindex="0" aria-label="Divider"
        aria-valuemin="0" aria-valuemax="100" aria-orientation="horizontal"></div>
      <span class="ov-name" data-name="0"></span><span class="ov-name" data-name="1"></span></div>
    <div class="ov-empty">No pictures yet.</div></div>`;
  const find = (selector) => home.querySelector(selector);
  const stage = find('.ov-stage');
  const above = find('.ov-above'); // image0, cut or faded to let image1 below be seen
  const below = find('.ov-below');
  const divider = find('.ov-divider');
  const toggle = find('button[data-for=flicker]');
  const blend = find('[data-for=blend] input');
  const gain = find('[data-for=difference] input');
  const names = [...stage.querySelectorAll('.ov-name')];

  let data = null;
  let mode = 'swipe';
  let split = 50; // percent of the width that shows image0
  let running = !matchMedia('(prefers-reduced-motion: reduce)').matches;
  let second = false; // flicker: image1 is up
  let timer = 0;

  function show(value) {
    data = value && value.image0 && value.image1 ? value : null;
    for (const part of [find('.ov-bar'), stage]) part.hidden = !data;
    find('.ov-empty').hidden = !!data;
    if (data) {
      for (const [picture, address, label] of [
        [above, data.image0, data.label0], [below, data.image1, data.label1],
      ]) {
        picture.alt = label ?? '';
        if (picture.dataset.from === address) continue;
        picture.dataset.from = address;
        picture.src = url(address);
      }
      for (const i of [0, 1]) {
        for (const name of home.querySelectorAll(`[data-name="${i}"]`)) {
          name.textContent = data[`label${i}`] ?? `picture ${i}`;
        }
      }
    }
    draw();
  }

  function resize() {
    if (!above.naturalWidth || !home.clientWidth) return;
    const aspect = above.naturalWidth / above.naturalHeight;
    const width = Math.min(home.clientWidth, TALLEST * aspect);
    stage.style.width = `${width}px`;
    stage.style.height = `${width / aspect}px`;
    const crisp = width > 3 * above.naturalWidth ? 'pixelated' : 'auto';
    for (const picture of [above, below]) picture.style.imageRendering = crisp;
  }

  function draw() {
    stage.dataset.mode = mode;
    for (const button of home.querySelectorAll('.ov-modes button')) {
      button.setAttribute('aria-pressed', String(button.dataset.mode === mode));
    }
    for (const tool of home.querySelectorAll('[data-for]')) tool.hidden = tool.dataset.for !== mode;
    divider.hidden = mode !== 'swipe';
    divider.style.left = `${split}%`;
    divider.setAttribute('aria-valuenow', Math.round(split));
    const flickering = mode === 'flicker' && running && data !== null;
    if (flickering && !timer) timer = setInterval(swap, SWAP_MS);
    if (!flickering) {
      clearInterval(timer);
      timer = 0;
    }
    if (mode !== 'flicker') second = false;
    toggle.textContent = running ? 'Stop' : 'Start';
    above.style.clipPath = mode === 'swipe' ? `inset(0 ${100 - split}% 0 0)` : '';
    above.style.opacity = { blend: 1 - blend.value / 100, flicker: second ? 0 : 1 }[mode] ?? 1;
    above.style.mixBlendMode = mode === 'difference' ? 'difference' : '';
    stage.style.filter = mode === 'difference' ? `brightness(${gain.value})` : '';
    find('output').textContent = `×${gain.value}`;
    names[0].hidden = mode === 'blend' || mode === 'difference' || (mode === 'flicker' && second);
    names[1].hidden = mode === 'blend' || mode === 'difference' || (mode === 'flicker' && !second);
  }

  function swap() {
    if (!home.isConnected) return clearInterval(timer);
    second = !second;
    draw();
  }

  function splitAt(percent) {
    split = Math.min(100, Math.max(0, percent));
    draw();
  }
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    splitAt((100 * (event.clientX - box.left)) / box.width);
  };
  stage.onpointerdown = (event) => {
    if (mode !== 'swipe' || event.button) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    divider.focus({ focusVisible: false, preventScroll: true });
    follow(event);
  };
  stage.onpointermove = (event) => {
    if (mode === 'swipe' && stage.hasPointerCapture(event.pointerId)) follow(event);
  };
  divider.onkeydown = (event) => {
    const step = event.shiftKey ? 10 : 1;
    const to = { ArrowLeft: split - step, ArrowRight: split + step, Home: 0, End: 100 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    splitAt(to);
  };
  find('.ov-modes').onclick = ({ target }) => {
    if (!target.dataset.mode) return;
    mode = target.dataset.mode;
    draw();
  };
  toggle.onclick = () => {
    running = !running;
    draw();
  };
  blend.oninput = draw;
  gain.oninput = draw;
  above.onload = resize;
  new ResizeObserver(resize).observe(home);

  return { show };
}
