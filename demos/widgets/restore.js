// An exported figure, dropped anywhere on the page, brings its settings back.
//
// A drop must be claimed at once or never, but a file is read later. So a drop of one PNG is
// stopped on its way down to its target and read; if it carries no recipe, the same drop is made
// again at the same target, which then sees it as if nothing had happened.

const KEY = 'sightline'; // core.recipe.PNG_KEY
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

const STYLE = `
.rs { display: flex; flex-wrap: wrap; gap: 6px 12px; align-items: center; font-size: 14px;
  line-height: 1.4; color: var(--body-text-color, #1f2937); }
.rs .rs-open { min-height: 32px; padding: 3px 12px; border-radius: 6px; font: inherit; color: inherit;
  cursor: pointer; border: 1px solid var(--border-color-primary, #d4d4d8);
  background: var(--background-fill-secondary, #f4f4f5); }
.rs .rs-open:focus-visible { outline: 2px solid var(--body-text-color, #1f2937); outline-offset: 2px; }
`;

/** The link ('?…') in a PNG's recipe, or null. Never throws: a file may hold anything. */
export function recipeLink(buffer) {
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) return null;
  // A chunk is: length of its data (4 bytes), type (4), data, checksum (4).
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 8 + view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (end + 4 > bytes.length || type === 'IEND') return null;
    const text = textOf(type, bytes.subarray(at + 8, end));
    if (text !== null) return linkIn(text);
    at = end + 4;
  }
  return null;
}

/** The text of a tEXt or uncompressed iTXt chunk whose keyword is ours, or null. */
function textOf(type, data) {
  if (type !== 'tEXt' && type !== 'iTXt') return null;
  const latin1 = (part) => new TextDecoder('latin1').decode(part);
  const stop = data.indexOf(0);
  if (stop < 0 || latin1(data.subarray(0, stop)) !== KEY) return null;
  if (type === 'tEXt') return latin1(data.subarray(stop + 1));
  if (data[stop + 1] !== 0) return null; // compressed
  // Then come: compression method, language, 0, translated keyword, 0, text.
  const language = data.indexOf(0, stop + 3);
  const translated = language < 0 ? -1 : data.indexOf(0, language + 1);
  return translated < 0 ? null : new TextDecoder().decode(data.subarray(translated + 1));
}

/** A recipe's link if it leads nowhere but to this page with other settings, else null. */
function linkIn(text) {
  let link;
  try {
    link = JSON.parse(text)?.link;
  } catch {
    return null;
  }
  if (typeof link !== 'string' || !link.startsWith('?')) return null;
  const there = new URL(link, location.href);
  const same = there.origin === location.origin && there.pathname === location.pathname;
  return same ? link : null;
}

export function mount(home) {
  home.innerHTML = `<style>${STYLE}</style><div class="rs">
    <button type="button" class="rs-open" title="A PNG saved from Take away. You can also drop it on the page.">
      Open a figure…</button>
    <input type="file" accept="image/png" aria-label="A figure saved here" hidden>
    <span role="status"></span></div>`;
  const input = home.querySelector('input');
  const status = home.querySelector('[role=status]');

  // Returns whether the file is a figure of ours, and if so leaves for its link.
  async function restore(file) {
    const link = recipeLink(await file.arrayBuffer());
    if (link === null) return false;
    status.textContent = 'Opening the figure…';
    location.assign(location.pathname + link);
    return true;
  }

  home.querySelector('button').onclick = () => input.click();
  input.onchange = async () => {
    const [file] = input.files;
    input.value = '';
    if (!file || await restore(file)) return;
    status.textContent = `${file.name} carries no Sightline recipe. Open a PNG saved from Take away.`;
  };

  const passedOn = new WeakSet(); // drops made again below
  const listening = new AbortController();
  const options = { capture: true, signal: listening.signal };

  // Without this the browser leaves the page for a file dropped beside any drop zone.
  document.addEventListener('dragover', (event) => {
    if (!home.isConnected) listening.abort();
    else if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
  }, options);

  document.addEventListener('drop', async (event) => {
    if (!home.isConnected) return listening.abort();
    const files = event.dataTransfer?.files ?? [];
    if (passedOn.has(event) || files.length === 0) return;
    event.preventDefault();
    const [file] = files;
    if (files.length > 1 || file.type !== 'image/png') return;
    event.stopImmediatePropagation();
    const { target, clientX, clientY, screenX, screenY } = event; // gone once the event is over
    if (await restore(file).catch(() => false)) return; // an unreadable file is not ours to judge
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(file);
    const again = new DragEvent('drop', { bubbles: true, cancelable: true, composed: true,
      dataTransfer, clientX, clientY, screenX, screenY });
    passedOn.add(again);
    target.dispatchEvent(again);
  }, options);

  return { show() {} };
}
