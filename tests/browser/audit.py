"""Two scripts that look over a page from inside: what lacks a name, and what is hard to read. Given
a selector, they look only into what it selects."""

# Returns sentences about what a screen reader would miss.
AUDIT = """(root) => {
  const faults = [];
  const seen = (e) => e.checkVisibility({ visibilityProperty: true })
    && (!root || e.closest(root));
  const told = (e) => e.outerHTML.slice(0, 160);
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  if (!root && all('h1').length !== 1) faults.push(`${all('h1').length} h1 on the page`);
  if (!document.documentElement.lang) faults.push('html has no lang');
  for (const img of all('img')) if (!img.hasAttribute('alt')) faults.push(`no alt: ${told(img)}`);
  for (const field of all('input, select, textarea')) {
    if (field.type === 'hidden' || field.closest('[aria-hidden=true]')) continue;
    const label = field.getAttribute('aria-label') || field.getAttribute('aria-labelledby')
      || [...(field.labels ?? [])].map((l) => l.innerText).join('').trim() || field.title;
    if (!label) faults.push(`no label: ${told(field)}`);
  }
  for (const button of all('button, [role=button], a[href]')) {
    if (button.closest('[aria-hidden=true]')) continue;
    const name = button.innerText.trim() || button.getAttribute('aria-label') || button.title
      || button.querySelector('img[alt], [aria-label]');
    if (!name) faults.push(`no name: ${told(button)}`);
  }
  return faults;
}"""

# Returns [ratio, text, colours] for each text below WCAG AA: 4.5, or 3 for large text.
CONTRAST = """(root) => {
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const light = (c) => c.map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.push(rgba(getComputedStyle(e).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const faults = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (root && !element.closest(root)) continue;
    if (!node.data.trim() || element.closest('svg, canvas, script, style, :disabled')) continue;
    if (element.closest('[aria-hidden=true], [aria-disabled=true]')) continue;
    if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(element);
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= +getComputedStyle(e).opacity;
    const below = ground(element);
    const colour = rgba(style.color);
    const [a, b] = [light(over([...colour.slice(0, 3), colour[3] * opacity], below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    if (ratio >= (large ? 3 : 4.5)) continue;
    const key = `${style.color} on ${below.map(Math.round)}`;
    if (!faults.has(key)) faults.set(key, [+ratio.toFixed(2), node.data.trim().slice(0, 40), key]);
  }
  return [...faults.values()];
}"""
