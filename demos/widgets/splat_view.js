// The view of splats, points and meshes: a camera on an orbit, drawn here, at once.
//
// Three hands work side by side. The worker (splat_sort.js) sorts by depth. The graphics card
// (splat_gl.js) draws. This page only asks: it never waits for either. While the camera moves, a
// picture may take 60 ms, so it gets as many of the most important splats as that allows, without
// their faint rims, and fewer pixels; when the camera rests, the whole picture is drawn, slice by
// slice, and shown when it is complete. The camera is orbit_camera.js's: the server means the same.

const { search } = new URL(import.meta.url); // the version: see base.py
const [
  { basis, clamped, corners, degrees, dot, flipped, lineIn, orbitAt, plus, settled, viewOf },
  { Frusta }, { steer }, { MODES, renderer }, { STOPS, WAYS, drawPage },
  { cropAround, drawFields, outlineOf, toldAs },
] = await Promise.all(['orbit_camera', 'frusta', 'steering', 'splat_gl', 'splat_page', 'splat_crop']
  .map((name) => import(`./${name}.js${search}`)));

const TALLEST = 560; // css px
const SHARPEST = 2; // device px per css px
const BUDGET_MS = 60; // of a picture while the camera moves
const REST_MS = 200; // without a movement: it rests
const TELL_MS = 250; // of rest, then the server is told
const FEWEST = 16384; // splats while it moves
const AT_FIRST = 65536; // splats of the first picture of a larger scene; the others follow
const WIDEST = 2.83; // σ of a splat while it moves: beyond, α is below 1/55
const COARSEST = 0.5; // of the pixels' number along a side while it moves
const REACH = [0.01, 20]; // of the radius, times the one at the start

const counted = (n) => n.toLocaleString('en');
const short = (v) => String(Number(v.toPrecision(3)));

/** How many splats the build-up slider means: even steps multiply. */
const countAt = (stop, n) => Math.round(n ** (stop / STOPS));

// ---------------------------------------------------------------- the part of the page

export function mount(home, { emit, url }) {
  const page = drawPage(home, setMode);
  const { find, inputs, say } = page;
  const [canvas, over] = [find('.spl-gl'), find('.spl-over')];
  const frusta = new Frusta(over, find('.spl-tip'), paintOver);

  let card = null; // the renderer
  let worker = null;
  let scene = null; // all that values with this key have said
  let info = null; // {kind, n, all, faces, bounds}: what the worker found
  let ready = false; // all of it is on the card
  let arrived = 0; // when the bytes did, ms since the epoch
  let trouble = ''; // instead of a view
  let orbit = null;
  let upside = false; // the up axis is flipped
  let mode = 'Splats';
  let crop = null; // {kind, low, high}, as the programs take it
  let picked = null; // {x, y} px of the canvas
  let width = 0; // css px
  let height = 0;
  let inSight = true;

  const geometry = () => info?.kind === 'geometry';
  const kind = () => (geometry() ? (info.faces ? 'mesh' : 'points') : 'splats');
  const background = () => (inputs.white.checked ? [1, 1, 1] : scene?.background ?? [0, 0, 0]);
  const wanted = () => (info ? countAt(Number(inputs.count.value), info.n) : 0);
  const scale = () => 10 ** Number(inputs.scale.value);
  const start = () => (upside ? flipped(scene.start) : scene.start);

  function show(value) {
    if (value && value.key !== scene?.key) {
      trouble = ''; // it was the other scene's; a browser without WebGL says so again
      find('.spl-wrong').hidden = true;
    }
    find('.spl-body').hidden = !value || Boolean(trouble);
    find('.spl-empty').textContent = value ? '' : 'No scene yet.';
    if (!value) {
      scene = null;
      forget();
      return;
    }
    const other = !scene || value.key !== scene.key;
    if (other) {
      if (!value.url || !value.start) emit('missed', { key: value.key });
      [scene, orbit, upside, picked] = [{}, null, false, null];
      forget();
      setCrop('');
      frusta.replace([], [0, 0, 0]);
    }
    const address = scene.url;
    Object.assign(scene, value);
    if (!orbit && scene.start) go(value.orbit ?? scene.start);
    else if (value.orbit) go(value.orbit);
    if ('frusta' in value) frusta.replace(value.frusta ?? [], scene.start?.target ?? [0, 0, 0]);
    if (scene.url && scene.url !== address) load();
    else if ('selected' in value || 'hidden' in value) flag();
    describe();
    resize();
    changed();
  }

  function forget() {
    worker?.terminate();
    card?.drop();
    [worker, info, ready, order, job, shown] = [null, null, false, null, null, null];
    [sorting, asked] = [false, ''];
  }

  function fail(text) {
    trouble = text;
    find('.spl-wrong').textContent = text;
    find('.spl-wrong').hidden = false;
    find('.spl-body').hidden = true;
  }

  // ------------------------------------------------------------ the worker

  function load() {
    forget();
    if (trouble) return;
    try {
      card ??= renderer(canvas);
    } catch (error) {
      fail(error.message);
      return;
    }
    const address = new URL(url(scene.url), location.href).href;
    const sorter = new URL(`./splat_sort.js${search}`, import.meta.url);
    const fresh = new Worker(sorter, { type: 'module' });
    fresh.onmessage = ({ data }) => {
      if (data.awake) fresh.postMessage({ load: address, rows: card.rows });
      else hear(data);
    };
    fresh.onerror = () => fail('The part that sorts splats did not load. Reload the page.');
    worker = fresh;
    say('Loading …');
  }

  function hear(data) {
    if (data.failed) return fail(data.failed);
    if (data.progress) {
      const { got, total } = data.progress;
      say(total > got ? `Loading, ${Math.floor((100 * got) / total)} %`
        : `Loading, ${(got / 1e6).toFixed(1)} MB`);
    } else if (data.scene) {
      info = data.scene;
      times = [];
      if (data.geometry) card.setGeometry(data.geometry);
      else card.begin(info);
      describe();
    } else if (data.chunk) {
      card.add(data.chunk);
    } else if (data.flags) {
      card.setFlags(data.flags);
      changed();
    } else if (data.ready) {
      [ready, arrived] = [true, data.arrived];
      delete canvas.dataset.firstMs;
      delete canvas.dataset.wholeMs;
      if (scene.selected || scene.hidden) flag();
      quality = Math.min(1, AT_FIRST / info.n);
      changed(!geometry() && quality < 1);
    } else if (data.order) {
      card.setOrder(data.order, data.count);
      order = data;
      sorting = false;
      wake();
    }
  }

  function flag() {
    const { selected = null, hidden = null } = scene;
    if (ready && !geometry()) worker.postMessage({ flags: { selected, hidden } });
  }

  // ------------------------------------------------------------ what is to be seen

  function describe() {
    const ways = WAYS[kind()];
    if (!ways.includes(mode)) mode = ways[0];
    page.describe({ kind: kind(), mode, scale: scale(),
      count: info ? `${counted(wanted())} of ${counted(info.n)}` : '',
      degree: info?.coefficients ? Math.sqrt(info.coefficients) - 1 : 3,
      cameras: frusta.cameras.length, held: frusta.cameras.some(({ held }) => held) });
  }

  function resize() {
    const room = Math.floor(find('.spl').getBoundingClientRect().width);
    if (!scene || !room) return;
    if (!worker && scene.url && !trouble) load();
    const full = document.fullscreenElement === find('.spl-body');
    const stage = find('.spl-stage');
    if (full) {
      const others = find('.spl-body').scrollHeight - stage.offsetHeight;
      width = window.innerWidth - 20;
      height = Math.max(200, window.innerHeight - Math.min(others, window.innerHeight / 2));
    } else {
      const aspect = scene.aspect > 0 ? scene.aspect : 4 / 3;
      width = Math.min(room, Math.round(TALLEST * aspect));
      height = Math.max(1, Math.round(width / aspect));
    }
    stage.style.width = `${width}px`;
    stage.style.height = `${height}px`;
    const ratio = Math.min(SHARPEST, window.devicePixelRatio || 1);
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width === size[0] && canvas.height === size[1]) return;
    for (const each of [canvas, over]) [each.width, each.height] = size;
    card?.blank(background());
    picked = null;
    changed();
  }

  // ------------------------------------------------------------ pictures, one after another

  let stamp = 0; // grows with everything that changes the picture
  let order = null; // the last one from the worker: {count, asked, near, far, stamp}
  let sorting = false;
  let asked = ''; // of the worker, last
  let job = null; // the picture being drawn: {stamp, order, fast, orbit, began, done}
  let shown = null; // the job whose picture is on the page
  let quality = 1; // share of splats while the camera moves
  let pace = 1; // slices the card gets at once
  let times = []; // ms of the last pictures
  let finished = 0; // when the last one was, ms
  let pictures = 0;
  let movedAt = -Infinity;
  let shooting = false;
  let waiting = false;
  let polling = false;

  /** Something changed: the picture has to be drawn again, by and by. */
  function changed(moves = false) {
    stamp++;
    canvas.dataset.state = 'late';
    if (moves) {
      movedAt = performance.now();
      setTimeout(wake, REST_MS + 20);
    }
    wake();
  }

  function wake() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame((now) => {
      waiting = false;
      tick(now);
    });
  }

  /** Looks again soon whether the card is done: sooner than the next frame. */
  function poll() {
    if (polling) return;
    polling = true;
    setTimeout(() => {
      polling = false;
      tick(performance.now());
    }, 3);
  }

  function tick(now) {
    if (!home.isConnected) return forget(); // should it come back, `resize` loads it again
    if (!ready || !orbit || !width || !inSight || document.hidden) return;
    hands.fly(now);
    const fast = performance.now() - movedAt < REST_MS;
    const most = fast && !inputs.whole.checked
      ? Math.min(wanted(), Math.max(FEWEST, Math.round(wanted() * quality))) : wanted();
    if (!geometry()) sort(most);
    if (card.busy()) return poll();
    if (job && !job.done && fast && !job.fast && job.stamp !== stamp) job = null; // it would be late
    if (job) {
      if (!job.done) return draw();
      finish();
    }
    // At rest the order must be of here and now; on the move a moment old, but not too long.
    const fits = geometry() || (order
      && (fast ? order.asked <= most : order.asked === most && order.stamp === stamp));
    const old = shown?.stamp !== stamp || (!fast && shown.fast) || shown.order !== order?.stamp;
    if (fits && old) {
      begin(fast);
      draw();
    } else if (hands.flies()) wake();
  }

  function sort(count) {
    const request = `${stamp} ${count}`;
    if (sorting || request === asked) return;
    [asked, sorting] = [request, true];
    const { eye, ahead } = basis(orbit);
    worker.postMessage({ sort: { eye, ahead, near: near(), count, off: !inputs.sort.checked,
      stamp } });
  }

  const near = () => scene.near_m ?? 0.2;

  function begin(fast) {
    const small = fast && !geometry() && !inputs.whole.checked
      ? clamped(Math.sqrt(quality), COARSEST, 1) : 1;
    const size = [canvas.width, canvas.height].map((side) => Math.round(small * side));
    job = { stamp, fast, orbit, order: order?.stamp, count: order?.count, began: performance.now(),
      range: range() };
    const way = Math.max(0, MODES.indexOf(mode));
    card.start({ width: size[0], height: size[1], mode: way,
      camera: { ...basis(orbit), focal: viewOf(orbit, ...size).focal },
      background: background(), crop, shape: { Points: 'points', Wireframe: 'lines' }[mode]
        ?? (info.faces ? 'triangles' : 'points'),
      uniforms: { degree: Number(inputs.degree.value), scale: scale(),
        near: geometry() ? 0.005 * orbit.radius : near(), dim: inputs.half.checked ? 0.5 : 1,
        selecting: Boolean(scene.selected), range: job.range, widest: fast ? WIDEST : 100,
        point_px: Math.max(1, 3 * scale() * (canvas.width / width)) } });
  }

  function draw() {
    const now = performance.now();
    const took = now - job.stepped; // for the slices before
    if (took > 2 * BUDGET_MS) pace = Math.max(1, pace >> 1);
    else if (took < BUDGET_MS) pace *= 2;
    job.stepped = now;
    job.done = card.advance(job.fast ? Infinity : pace);
    poll();
  }

  function finish() {
    const now = performance.now();
    // From picture to picture when one followed the other, which holds the sorting in it.
    times = [...times, job.began - finished < 50 ? now - finished : now - job.began].slice(-6);
    const ratio = clamped(BUDGET_MS / (now - job.began), 0.25, 2);
    if (job.fast || ratio < 1) quality = clamped(quality * ratio ** 0.7, 1 / 256, 1);
    finished = now;
    card.present();
    shown = job;
    job = null;
    pictures++;
    if (shooting && !shown.fast) save();
    const since = Math.round(performance.timeOrigin + now - arrived);
    canvas.dataset.firstMs ??= String(since); // for measurements, as the next ones
    if (!shown.fast) canvas.dataset.wholeMs ??= String(since);
    canvas.dataset.pictures = String(pictures);
    canvas.dataset.state = shown.fast ? 'moving' : 'rest';
    tellCounts();
    paintOver();
  }

  function tellCounts() {
    const rate = (1000 * times.length) / times.reduce((a, b) => a + b, 0);
    const { n, all, faces } = info;
    const what = kind() === 'splats'
      ? `${counted(shown.count)}${shown.count === all ? '' : ` of ${counted(all)}`} splats`
      : kind() === 'mesh' ? `${counted(faces)} triangles` : `${counted(n)} points`;
    say(`${what} · ${rate < 9.5 ? rate.toFixed(1) : Math.round(rate)} frames/s`
      + `${scene.note ? ` · ${scene.note}` : ''}`);
    page.legend({ Depth: shown.range.map((z) => `${short(z)} m`), Opacity: ['1', '0'] }[mode]);
  }

  /** Depths at the colour bar's ends. */
  function range() {
    if (!geometry()) return [order.near, order.far];
    const { own } = viewOf(orbit, width, height);
    const depths = corners(info.bounds).map((corner) => own(corner)[2]);
    return [Math.max(near(), Math.min(...depths)), Math.max(...depths)];
  }

  function save() {
    shooting = false;
    card.present(); // a canvas may be read in the moment it was drawn, not later
    canvas.toBlob((blob) => {
      const link = Object.assign(document.createElement('a'), { download: 'sightline-view.png',
        href: URL.createObjectURL(blob) });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  }

  // ------------------------------------------------------------ lines over the picture

  /** Cameras, crop and the picked pixel, where they are on the picture that is shown. */
  function paintOver() {
    const ink = over.getContext('2d');
    const ratio = over.width / width;
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, width, height);
    frusta.hide();
    if (!shown) return;
    const view = viewOf(shown.orbit, width, height);
    const close = 0.02 * shown.orbit.radius;
    const style = getComputedStyle(find('.spl'));
    const colour = (name) => style.getPropertyValue(`--spl-${name}`);
    const stroke = (path, name, thickness, dash = []) => {
      ink.setLineDash([]);
      [ink.strokeStyle, ink.lineWidth, ink.globalAlpha] = [colour('halo'), thickness + 2, 0.5];
      ink.stroke(path);
      ink.setLineDash(dash);
      [ink.strokeStyle, ink.lineWidth, ink.globalAlpha] = [colour(name), thickness, 1];
      ink.stroke(path);
      ink.setLineDash([]);
    };
    if (crop) stroke(outlineOf(crop, lineIn(view, close)), 'line', 1.3);
    if (inputs.frusta.checked) frusta.look(view, close);
    frusta.drawn.forEach((seen, i) => {
      if (!seen) return;
      const path = new Path2D();
      frusta.trace(path, i);
      const { held } = frusta.cameras[i];
      stroke(path, held ? 'held' : 'learned', i === frusta.over ? 3 : 1.3, held ? [5, 3] : []);
    });
    if (picked) {
      const [x, y] = [(picked.x + 0.5) / ratio, (picked.y + 0.5) / ratio];
      const path = new Path2D();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        path.moveTo(x + 4 * dx, y + 4 * dy);
        path.lineTo(x + 13 * dx, y + 13 * dy);
      }
      stroke(path, 'line', 1.5);
    }
    frusta.placeTip(width, height);
  }

  // ------------------------------------------------------------ moving

  let tellTimer = 0;
  function move(change) {
    go({ ...orbit, ...change });
    picked = null;
    clearTimeout(tellTimer);
    tellTimer = setTimeout(() => emit('moved', orbit), TELL_MS);
    changed(true);
  }

  function go(to) {
    orbit = settled(to, REACH.map((k) => k * (scene.start ?? to).radius));
  }

  const reset = () => orbit && move(start());

  /** To where a camera stood, looking where it looked. */
  function jump(index) {
    frusta.hover(-1);
    const { c2w, K, size } = frusta.cameras[index];
    const [eye, ahead] = [[3, 7, 11], [2, 6, 10]].map((places) => places.map((k) => c2w[k]));
    const first = start();
    const away = dot(plus(first.target, eye, -1), ahead); // to what the scene is about, if ahead
    const radius = away > 0.05 * first.radius ? away : first.radius;
    move(orbitAt(eye, ahead, radius, first.up, 2 * degrees(Math.atan(size[0] / 2 / K[0]))));
    emit('jumped', { frustum: index, orbit });
  }

  function pick([x, y]) {
    const px = (css, side, all) => clamped(Math.floor((css * all) / side), 0, all - 1);
    picked = { x: px(x, width, canvas.width), y: px(y, height, canvas.height) };
    emit('picked', { ...picked, width: canvas.width, height: canvas.height, orbit,
      settings: { background: background(), sh_degree: Number(inputs.degree.value),
        scale: scale() } });
    paintOver();
  }

  const pickMiddle = () => pick([width / 2, height / 2]);
  const hands = steer(over, {
    view: () => ({ orbit, width, height }), move, reset, frusta, wake,
    click: (index, place) => (index < 0 ? pick(place) : jump(index)),
    keys: { '[': () => frusta.step(-1), ']': () => frusta.step(1), p: pickMiddle, P: pickMiddle,
      Enter: () => frusta.over >= 0 && jump(frusta.over) },
  });

  // ------------------------------------------------------------ controls

  function setMode(name) {
    mode = name;
    describe();
    changed();
  }

  /** Crops to a box or sphere around the scene, or not. */
  function setCrop(kindOf) {
    inputs.crop.value = kindOf;
    crop = kindOf && info?.bounds ? cropAround(kindOf, info.bounds) : null;
    drawFields(find('.spl-numbers'), crop, () => {
      tellCrop();
      changed(true);
    });
  }

  let cropTimer = 0;
  function tellCrop() {
    clearTimeout(cropTimer);
    cropTimer = setTimeout(() => emit('cropped', toldAs(crop)), TELL_MS);
  }

  inputs.crop.onchange = () => {
    setCrop(inputs.crop.value);
    tellCrop();
    changed();
  };
  for (const name of ['count', 'degree', 'scale']) {
    inputs[name].oninput = () => {
      describe();
      changed(true);
    };
  }
  for (const name of ['half', 'sort', 'white', 'whole', 'frusta']) {
    inputs[name].onchange = () => {
      if (name === 'frusta') frusta.hover(-1);
      changed();
    };
  }
  const actions = {
    reset,
    flip: () => {
      if (!orbit) return;
      upside = !upside;
      move(flipped(orbit));
    },
    shoot: () => {
      shooting = true;
      changed();
    },
    fill: () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else {
        find('.spl-body').requestFullscreen?.().catch(() => say('The browser refuses full screen.'));
      }
    },
  };
  for (const button of home.querySelectorAll('[data-do]')) {
    button.onclick = actions[button.dataset.do];
  }
  find('.spl-body').onfullscreenchange = () => {
    const full = document.fullscreenElement === find('.spl-body');
    find('[data-do=fill]').setAttribute('aria-pressed', String(full));
    resize();
  };

  canvas.addEventListener('webglcontextlost', (event) => {
    event.preventDefault();
    say('The graphics card was reset. Loading again …');
    forget();
  });
  canvas.addEventListener('webglcontextrestored', () => {
    card = null;
    if (scene?.url) load();
  });
  document.addEventListener('visibilitychange', wake);
  new ResizeObserver(resize).observe(find('.spl'));
  new IntersectionObserver(([entry]) => {
    inSight = entry.isIntersecting;
    wake();
  }).observe(home);

  return { show };
}
