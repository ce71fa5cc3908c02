// The viewer: asks the server for slices and pictures, and draws them. No library, no markup made
// of text. Indices count as the server's do: from the patient's left, back and foot, from 0.

const main = document.getElementById('main');
const { file, folder, name, hint } = main.dataset;
const IS_SMALL = matchMedia('(max-width: 44rem)').matches;
const CACHE_BYTES = (navigator.deviceMemory ?? 8) < 4 || IS_SMALL ? 64e6 : 256e6;
const MAX_REQUESTS = 6; // at once: more wait in the browser for a connection
const STALE_AFTER = 100; // ms in which an answer that is no longer needed may still come
const PREFETCHED = 6; // slices ahead
const ANSWER_WITHIN = 120e3; // ms
const MAX_ORIGINAL = 40e6; // pixels of a picture that is loaded as it is
// Axes of the volume: that across the picture, that down it, and that along which it is cut.
const PLANES = { axial: [0, 1, 2], coronal: [0, 2, 1], sagittal: [1, 2, 0] };
const FRAME = /\.(jpe?g|jfif|png|gif|webp|tiff?|bmp|avif|jp2|j2k)$/i;
const VOLUME = /\.(nii|nii\.gz|hdr|hdr\.gz|mha|mhd|nrrd|nhdr|mgh|mgz)$/i;
const IN_BROWSERS = ['JPEG', 'PNG', 'GIF', 'WebP', 'WEBP', 'BMP', 'AVIF'];
const CT_WINDOWS = { Brain: [40, 80], Lung: [-600, 1500], Bone: [400, 1800], Abdomen: [50, 400] };

const fileUrl = new URL(file, location.href).href;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const round = (value) => Number(value.toPrecision(6));
const isNumber = (value) => Number.isFinite(value);

/** An element: `properties` are set, `on` listens, what is left are its attributes. */
function make(tag, { text = '', on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// --- What the server sends

/** An answer's problem in the server's sentence, or in ours if there is none. */
class Problem extends Error {}

/** Fetch; a busy server is asked again when it says so. Throws Problem, or AbortError. */
async function ask(url, signal) {
  const late = AbortSignal.timeout(ANSWER_WITHIN);
  for (;;) {
    let answer;
    try {
      answer = await fetch(url, { signal: AbortSignal.any([signal, late]) });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Problem(late.aborted ? 'The server did not answer.' : 'The server cannot be reached.');
    }
    if (answer.ok) return answer;
    if (answer.status !== 503) throw new Problem(await sentence(answer));
    const seconds = clamp(Number(answer.headers.get('Retry-After')) || 2, 1, 30);
    say(`${await sentence(answer)} Trying again in ${seconds} s.`);
    await sleep(seconds * 1e3);
    if (signal.aborted) throw new DOMException('', 'AbortError');
  }
}

async function sentence(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `The server answered ${answer.status}.`;
  }
}

/** A picture: `values` of 16 bits, with how to get what they stand for, or a bitmap in colours. */
async function readPicture(answer) {
  const blob = await answer.blob();
  const values = blob.type === 'image/png' ? await readPng16(new Uint8Array(await blob.arrayBuffer())) : null;
  if (values) return values;
  const bitmap = await createImageBitmap(blob).catch(() => null);
  if (!bitmap) throw new Problem('The browser cannot read what the server sent.');
  return { width: bitmap.width, height: bitmap.height, bitmap, bytes: 4 * bitmap.width * bitmap.height };
}

/** Read a greyscale PNG of 16 bits (ISO/IEC 15948); null if it is another one. */
async function readPng16(png) {
  const view = new DataView(png.buffer);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (png[24] !== 16 || png[25] !== 0 || png[28] !== 0) return null;
  const data = [];
  const texts = {};
  for (let at = 8; at < png.length; at += 12 + view.getUint32(at)) {
    const chunk = png.subarray(at + 8, at + 8 + view.getUint32(at));
    const kind = String.fromCharCode(...png.subarray(at + 4, at + 8));
    if (kind === 'IDAT') data.push(chunk);
    if (kind === 'tEXt') {
      const [key, value] = String.fromCharCode(...chunk).split('\0');
      texts[key] = Number(value);
    }
  }
  const stream = new Blob(data).stream().pipeThrough(new DecompressionStream('deflate'));
  const values = unfilter(new Uint8Array(await new Response(stream).arrayBuffer()), width, height);
  const scale = texts['imgd:scale'] ?? 1;
  const offset = texts['imgd:offset'] ?? 0;
  return { width, height, values, scale, offset, bytes: values.byteLength };
}

/** Undo the filter of each row (section 9), and join the bytes of each value. */
function unfilter(rows, width, height) {
  const length = 2 * width;
  const values = new Uint16Array(width * height);
  let above = new Uint8Array(length);
  for (let y = 0; y < height; y++) {
    const start = y * (length + 1);
    const filter = rows[start];
    const row = rows.subarray(start + 1, start + 1 + length);
    for (let x = 0; filter && x < length; x++) {
      const left = x < 2 ? 0 : row[x - 2];
      const corner = x < 2 ? 0 : above[x - 2];
      if (filter === 1) row[x] += left;
      else if (filter === 2) row[x] += above[x];
      else if (filter === 3) row[x] += (left + above[x]) >> 1;
      else row[x] += paeth(left, above[x], corner);
    }
    for (let x = 0; x < width; x++) values[y * width + x] = (row[2 * x] << 8) | row[2 * x + 1];
    above = row;
  }
  return values;
}

function paeth(left, above, corner) {
  const [a, b, c] = [above - corner, left - corner, left + above - 2 * corner].map(Math.abs);
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

/** Pictures by URL: kept up to CACHE_BYTES, those first dropped that were not used for longest. */
class Pictures {
  kept = new Map();
  loading = new Map();
  failed = new Map();
  bytes = 0;

  get(url) {
    const picture = this.kept.get(url);
    if (picture) this.kept.delete(url), this.kept.set(url, picture);
    return picture;
  }

  /** Load what is wanted, most urgent first; end requests for what is wanted no more. */
  want(urls, visible) {
    // What failed is asked for again once it was out of sight.
    for (const url of this.failed.keys()) if (!urls.includes(url)) this.failed.delete(url);
    const missing = urls.filter((url) => !this.kept.has(url) && !this.loading.has(url) && !this.failed.has(url));
    const stale = [...this.loading].filter(([url]) => !urls.includes(url));
    for (const [, request] of stale) {
      const isNeeded = missing.some((url) => visible.includes(url)) && this.loading.size >= MAX_REQUESTS;
      if (isNeeded || performance.now() - request.since > STALE_AFTER) request.abort();
      else setTimeout(update, STALE_AFTER);
    }
    for (const url of missing) {
      const limit = visible.includes(url) ? MAX_REQUESTS : MAX_REQUESTS - 3;
      if (this.loading.size < limit) this.load(url);
    }
  }

  load(url) {
    const controller = new AbortController();
    const request = { url, since: performance.now() };
    request.abort = () => (this.loading.delete(request.url), controller.abort());
    this.loading.set(url, request);
    ask(url, controller.signal)
      .then(readPicture)
      .then((picture) => this.keep(request.url, picture))
      .catch((error) => error.name === 'AbortError' || this.failed.set(request.url, describe(error)))
      .finally(() => {
        if (this.loading.get(request.url) === request) this.loading.delete(request.url);
        update(request.url);
      });
  }

  /** Another URL of the same picture, by which it is asked for from now on. */
  rename(url, next) {
    const request = this.loading.get(url);
    if (request) request.url = next;
    for (const pictures of [this.kept, this.loading, this.failed]) {
      if (pictures.has(url)) pictures.set(next, pictures.get(url)), pictures.delete(url);
    }
  }

  keep(url, picture) {
    this.kept.set(url, picture);
    this.bytes += picture.bytes;
    for (const [oldest, { bytes, bitmap }] of this.kept) {
      if (this.bytes <= CACHE_BYTES || oldest === url) break;
      if (panes.some((pane) => pane.shown?.url === oldest)) continue;
      this.kept.delete(oldest);
      this.bytes -= bytes;
      bitmap?.close();
    }
  }
}

const describe = (error) => (error instanceof Problem ? error.message : `The viewer failed: ${error.message}`);

// --- What is shown

const pictures = new Pictures();
const panes = [];
let scene; // what is shown: see the functions open…
const state = { at: [0, 0, 0], t: 0, window: null, layout: 'all', tool: 'crosshair', cross: true, smooth: true };
let active; // the pane that keys go to

/** A volume, or the frames of a DICOM file. */
function openVolume(info, url) {
  const isDicom = info.kind === 'dicom';
  return {
    ...{ info, shape: info.shape, spacing: info.voxel_size.map((size) => Math.abs(size) || 1) },
    frames: info.frames || 1,
    isFlipped: !isDicom, // right, front and top of the patient are at the left and top
    planes: Object.keys(PLANES).filter((plane) => (info.planes ?? ['axial']).includes(plane)),
    affine: info.display_affine,
    window: info.window,
    title: isDicom ? 'Frame' : undefined,
    isColour: info.is_colour,
    url: (plane, index) => sliceUrl(url, plane, index),
  };
}

const sliceUrl = (url, plane, index) => `${url}?slice=${plane}:${index}&depth=16${state.t ? `&t=${state.t}` : ''}`;

/** A photograph; `url` is that of a smaller copy unless more pixels are to be seen than it has. */
function openPicture(info, url) {
  const [width, height] = info.size;
  const isReadable = IN_BROWSERS.includes(info.format) && width * height <= MAX_ORIGINAL;
  const isLarge = () => Math.max(width, height) > 2048 && panes[0]?.scale * Math.max(width, height) * devicePixelRatio > 2100;
  return {
    ...{ info, shape: [width, height, 1], spacing: [1, 1, 1], frames: 1, planes: ['axial'], isPicture: true, title: 'Picture' },
    url: () => (isReadable && isLarge() ? url : `${url}?thumb=2048`),
  };
}

/** The frames and DICOM files of a folder, one after the other; `complete` reads its later pages. */
async function openFolder() {
  const files = [];
  const volumes = [];
  const infos = new Map();
  const stack = {
    ...{ files, volumes, shape: [1, 1, 1], spacing: [1, 1, 1], frames: 1, planes: ['axial'], isStack: true, title: 'Stack' },
    url: (_plane, index) => files[index] && frameUrl(files[index]),
    // What a DICOM file says of itself: its window, and the size of its pixels.
    facts({ href }) {
      if (!infos.has(href)) {
        infos.set(href, null);
        askJson(`${href}?info`).then((info) => (infos.set(href, info), update()), () => {});
      }
      return infos.get(href);
    },
    async complete() {
      while (page.next) add((page = await askJson(fileUrl + new URL(page.next, fileUrl).search)).entries);
    },
  };
  function add(entries) {
    for (const entry of entries.filter(isShowable)) {
      (VOLUME.test(entry.name) ? volumes : files).push({ ...entry, href: new URL(entry.url, fileUrl).href });
    }
    stack.shape[2] = Math.max(1, files.length);
    for (const pane of panes) pane.setRange();
  }
  let page = await askJson(`${fileUrl}?format=json`);
  add(page.entries);
  return stack;
}

const isDicom = (entry) => entry.media_type === 'application/dicom';
const isShowable = (entry) => entry.type === 'file' && (isDicom(entry) || FRAME.test(entry.name) || VOLUME.test(entry.name));
const frameUrl = (entry) => (isDicom(entry) ? `${entry.href}?slice=axial:0&depth=16` : `${entry.href}?thumb=2048`);
const askJson = async (url) => (await ask(url, new AbortController().signal)).json();

/** One plane on the page: its canvas, letters, label and slider. */
class Pane {
  zoom = 0; // CSS pixels a millimetre; 0 fits
  pan = [0, 0]; // CSS pixels from the middle
  direction = 1; // in which one leafs

  constructor(plane) {
    this.plane = plane;
    this.axes = PLANES[plane];
    const title = scene.title ?? plane[0].toUpperCase() + plane.slice(1);
    this.title = title;
    this.canvas = make('canvas', { tabindex: 0, role: 'application', 'aria-roledescription': 'image' });
    this.context = this.canvas.getContext('2d', { alpha: false });
    this.buffer = document.createElement('canvas');
    this.label = make('p', { class: 'label' });
    this.message = make('p', { class: 'message', hidden: '' });
    this.letters = ['top', 'right', 'bottom', 'left'].map((side) => make('span', { class: `letter ${side}`, 'aria-hidden': 'true' }));
    this.slider = make('input', { type: 'range', min: 0, 'aria-label': `${title}: slice` });
    this.slider.addEventListener('input', () => this.go(Number(this.slider.value)));
    const view = make('div', { class: 'view' }, this.canvas, this.label, ...this.letters, this.message);
    this.element = make('section', { class: `pane ${plane}`, 'aria-label': title }, view, this.slider);
    this.canvas.addEventListener('focus', () => (active = this));
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.setRange();
    this.setLetters();
    listen(this);
  }

  get index() { return state.at[this.axes[2]]; }
  get count() { return scene.shape[this.axes[2]]; }
  get size() { return [0, 1].map((side) => scene.shape[this.axes[side]] * scene.spacing[this.axes[side]]); }
  get url() { return scene.url(this.plane, this.index); }
  get isVisible() { return this.canvas.clientWidth > 0; }

  setRange() {
    this.slider.max = this.count - 1;
    this.slider.hidden = this.count < 2;
  }

  /** The letters of the patient's sides, from where a step over the picture leads. */
  setLetters() {
    const step = scene.isFlipped ? -1 : 1;
    const towards = (axis, sign) => scene.affine && side(scene.affine.slice(0, 3).map((row) => row[axis] * sign * step));
    const [across, down] = this.axes;
    const sides = [towards(down, -1), towards(across, 1), towards(down, 1), towards(across, -1)];
    this.letters.forEach((letter, i) => (letter.textContent = sides[i] ?? ''));
  }

  resize() {
    this.canvas.width = Math.round(this.canvas.clientWidth * devicePixelRatio);
    this.canvas.height = Math.round(this.canvas.clientHeight * devicePixelRatio);
    this.draw(); // at once: its new size has made it empty
    update();
  }

  /** CSS pixels a millimetre. */
  get scale() {
    const { clientWidth, clientHeight } = this.canvas;
    return this.zoom || Math.min(clientWidth / this.size[0], clientHeight / this.size[1]);
  }

  /** Where the picture is on the canvas: left, top, width, height in CSS pixels. */
  get box() {
    const [width, height] = this.size.map((length) => length * this.scale);
    const snap = (at) => Math.round(at * devicePixelRatio) / devicePixelRatio;
    const { clientWidth, clientHeight } = this.canvas;
    return [snap((clientWidth - width) / 2 + this.pan[0]), snap((clientHeight - height) / 2 + this.pan[1]), width, height];
  }

  /** The column and row of the picture at a point of the canvas; they may lie outside it. */
  cell(x, y) {
    const [left, top, width, height] = this.box;
    const [columns, rows] = this.axes.map((axis) => scene.shape[axis]);
    return [Math.floor(((x - left) / width) * columns), Math.floor(((y - top) / height) * rows)];
  }

  /** The index of a column or row, and back. */
  flip(position, axis) { return scene.isFlipped ? scene.shape[axis] - 1 - position : position; }

  /** The voxel at a point of the canvas; null outside the picture. */
  voxel(x, y) {
    const at = [...state.at];
    this.cell(x, y).forEach((position, i) => (at[this.axes[i]] = this.flip(position, this.axes[i])));
    return at.every((index, axis) => index >= 0 && index < scene.shape[axis]) ? at : null;
  }

  /** The value of a voxel of the slice that is shown, in the file's own unit; null in colours. */
  value(at) {
    const { picture, index } = this.shown ?? {};
    if (!picture?.values || index !== at[this.axes[2]]) return null;
    const [column, row] = this.axes.map((axis) => this.flip(at[axis], axis));
    return picture.values[row * picture.width + column] * picture.scale + picture.offset;
  }

  go(index) {
    const next = clamp(Math.round(index), 0, this.count - 1);
    if (next === this.index) return;
    this.direction = Math.sign(next - this.index);
    state.at[this.axes[2]] = next;
    update();
  }

  /** Take the picture that is wanted, or one that came on the way and is nearer than the last. */
  take(came) {
    const { url } = this;
    const picture = pictures.get(url);
    if (picture) this.shown = { url, picture, index: this.index };
    else if (came && this.asked?.has(came) && pictures.kept.has(came)) {
      const index = this.asked.get(came);
      const distance = (other) => Math.abs(other - this.index);
      if (!this.shown || distance(index) < distance(this.shown.index)) {
        this.shown = { url: came, picture: pictures.get(came), index };
      }
    }
    (this.asked ??= new Map()).set(url, this.index);
    if (this.asked.size > 64) this.asked.delete(this.asked.keys().next().value);
    if (this.shown && scene.isStack) fitStack(this.shown);
    const problem = pictures.failed.get(url);
    this.message.hidden = !problem && !!this.shown;
    this.message.textContent = problem ?? 'Loading …';
    this.element.classList.toggle('busy', this.shown?.url !== url);
    this.element.classList.toggle('failed', !!problem);
  }

  draw() {
    const { context, canvas, shown } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.describe();
    if (!shown || this.element.classList.contains('failed')) return;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.imageSmoothingEnabled = state.smooth;
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.source(shown.picture), ...this.box);
    if (state.cross && scene.planes.length > 1) this.drawCross();
  }

  /** What is drawn of a picture: its values through the window, made anew if one of them changed. */
  source(picture) {
    if (!picture.values) return picture.bitmap;
    const [center, width] = shownWindow(picture);
    const isInverted = !!scene.info?.is_inverted; // MONOCHROME1: high values are dark
    const key = `${this.shown.url} ${center} ${width} ${isInverted}`;
    if (this.key === key) return this.buffer;
    this.key = key;
    const { values, scale, offset } = picture;
    Object.assign(this.buffer, { width: picture.width, height: picture.height });
    const context = this.buffer.getContext('2d');
    const image = context.createImageData(picture.width, picture.height);
    const pixels = new Uint32Array(image.data.buffer);
    const [slope, start] = [(scale * 255) / width, ((offset - center + width / 2) * 255) / width + 0.5];
    for (let i = 0; i < values.length; i++) {
      const level = values[i] * slope + start;
      const grey = level <= 0 ? 0 : level >= 255 ? 255 : level | 0;
      pixels[i] = 0xff000000 | ((isInverted ? 255 - grey : grey) * 0x010101);
    }
    context.putImageData(image, 0, 0);
    return this.buffer;
  }

  drawCross() {
    const { context } = this;
    const [left, top, width, height] = this.box;
    const [x, y] = this.axes.map((axis) => (this.flip(state.at[axis], axis) + 0.5) / scene.shape[axis]);
    const [across, down] = [left + x * width, top + y * height];
    context.lineWidth = 1;
    context.strokeStyle = 'rgb(120 220 200 / 70%)';
    context.beginPath();
    // The middle is left open, so that the voxel itself is seen.
    for (const [from, to] of [[left, across - 8], [across + 8, left + width]]) {
      context.moveTo(from, down), context.lineTo(to, down);
    }
    for (const [from, to] of [[top, down - 8], [down + 8, top + height]]) {
      context.moveTo(across, from), context.lineTo(across, to);
    }
    context.stroke();
  }

  describe() {
    const position = `${this.index + 1} of ${this.count}`;
    const file = scene.isStack ? ` · ${scene.files[this.index].name}` : '';
    this.label.textContent = scene.isPicture ? '' : `${this.title} ${position}${file}`;
    this.slider.value = this.index;
    this.slider.setAttribute('aria-valuetext', position);
    this.canvas.setAttribute('aria-label', scene.isPicture ? this.title : `${this.title}, slice ${position}${file}`);
  }
}

/** The side of the patient to which a direction leads (RAS), with a second letter if it is oblique. */
function side(direction) {
  const length = Math.hypot(...direction);
  const parts = direction.map((part, axis) => [Math.abs(part) / length, 'RAS LPI'[axis + (part < 0 ? 4 : 0)]]);
  return parts.sort(([a], [b]) => b - a).filter(([part]) => part > 0.35).map(([, letter]) => letter).join('');
}

/** A stack's pictures may differ in size, window and pixels. */
function fitStack({ picture, index }) {
  const entry = scene.files[index];
  const info = isDicom(entry) ? scene.facts(entry) : null;
  if (scene.info !== info) scene.isChanged = true;
  Object.assign(scene, { info, window: info?.window, affine: info?.display_affine, spacing: info?.voxel_size ?? [1, 1, 1] });
  scene.shape.splice(0, 2, picture.width, picture.height);
}

/** Center and width: the user's, or the file's, or else all values of the slice. */
function shownWindow(picture) {
  const [center, width] = state.window ?? scene.window ?? fullWindow(picture);
  return [center, Math.max(width, 1e-9)];
}

function limits({ values, scale, offset }, part = 0) {
  const counts = new Uint32Array(65536);
  for (const value of values) counts[value]++;
  const bound = (order) => {
    let left = part * values.length;
    return order.find((value) => counts[value] && (left -= counts[value]) < 0);
  };
  const levels = [...counts.keys()];
  return [bound(levels), bound(levels.reverse())].map((value) => value * scale + offset);
}

function windowOf([low, high]) {
  return [(low + high) / 2, high - low || 1];
}

const fullWindow = (picture) => windowOf(limits(picture));

let isDue = false;

/** Show what is to be seen now: at the next frame of the screen, once for many calls. */
function update(came) {
  if (came) for (const pane of panes) pane.take(came);
  if (isDue || !scene) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    const visible = panes.filter((pane) => pane.isVisible);
    for (const pane of visible) pane.take();
    if (scene.isChanged) {
      scene.isChanged = false;
      panes[0].setLetters();
      dialogs.info?.replaceWith(makeInfo());
    }
    for (const pane of visible) pane.draw();
    const urls = visible.map((pane) => pane.url).filter(Boolean);
    const isReady = urls.every((url) => pictures.kept.has(url) || pictures.failed.has(url));
    main.toggleAttribute('data-ready', visible.every((pane) => pane.shown?.url === pane.url));
    pictures.want(isReady ? [...urls, ...ahead(visible)] : urls, urls);
    report();
  });
}

/** The slices that are likely to be asked for next: most of them in the direction of leafing. */
function ahead(visible) {
  const urls = [];
  const panesNow = visible.includes(active) ? [active, ...visible.filter((pane) => pane !== active)] : visible;
  for (const pane of panesNow) {
    const steps = [...Array(pane === active ? PREFETCHED : 1).keys()].map((i) => (i + 1) * pane.direction);
    for (const step of [...steps, -pane.direction]) {
      const index = pane.index + step;
      if (index >= 0 && index < pane.count) {
        const url = scene.url(pane.plane, index);
        (pane.asked ??= new Map()).set(url, index);
        urls.push(url);
      }
    }
  }
  return urls;
}

// --- Mouse, touch and keys

const TOOLS = {
  crosshair: 'Move the crosshair',
  leaf: 'Leaf through the slices',
  window: 'Change window (sideways) and level (up, down)',
  pan: 'Move the picture',
};

function listen(pane) {
  const { canvas } = pane;
  const pointers = new Map();
  let action = '';
  let spread = 0;
  const point = (event) => [event.offsetX, event.offsetY];
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    active = pane;
    pointers.set(event.pointerId, point(event));
    spread = 0;
    action = pointers.size > 1 ? 'pinch' : ({ 1: 'pan', 2: 'window' }[event.button] ?? (event.shiftKey ? 'window' : state.tool));
    if (action === 'crosshair') moveCross(pane, ...point(event));
    event.preventDefault();
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = pointers.get(event.pointerId);
    const [x, y] = point(event);
    hover = { pane, x, y };
    if (before) {
      const [dx, dy] = [x - before[0], y - before[1]];
      if (action === 'leaf' && Math.abs(dy) < leafStep(pane)) return;
      pointers.set(event.pointerId, [x, y]);
      drag(pane, action, dx, dy, x, y);
      if (action === 'pinch' && pointers.size === 2) {
        const [[ax, ay], [bx, by]] = pointers.values();
        const wide = Math.hypot(ax - bx, ay - by);
        if (spread) zoomAt(pane, wide / spread, (ax + bx) / 2, (ay + by) / 2);
        spread = wide;
        movePan(pane, dx / 2, dy / 2);
      }
    }
    report();
  });
  for (const event of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(event, ({ pointerId }) => {
      pointers.delete(pointerId);
      if (!pointers.size) action = '';
    });
  }
  canvas.addEventListener('pointerleave', () => ((hover = null), report()));
  canvas.addEventListener('dblclick', () => scene.planes.length > 1 && setLayout(state.layout === 'all' ? pane.plane : 'all'));
  let turned = 0;
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    active = pane;
    if (event.ctrlKey || scene.isPicture) return zoomAt(pane, Math.exp(-event.deltaY / 400), ...point(event));
    turned += event.deltaMode ? Math.sign(event.deltaY) * 60 : event.deltaY;
    if (Math.abs(turned) < 30) return;
    pane.go(pane.index + (turned > 0 ? 1 : -1));
    turned = 0;
  }, { passive: false });
}

const leafStep = (pane) => Math.max(3, pane.canvas.clientHeight / pane.count / 1.5);

function drag(pane, action, dx, dy, x, y) {
  if (action === 'crosshair') moveCross(pane, x, y);
  if (action === 'pan') movePan(pane, dx, dy);
  if (action === 'leaf') pane.go(pane.index + Math.trunc(dy / leafStep(pane)));
  if (action === 'window') changeWindow(dx, dy);
}

function moveCross(pane, x, y) {
  pane.cell(x, y).forEach((position, i) => {
    const axis = pane.axes[i];
    state.at[axis] = clamp(pane.flip(position, axis), 0, scene.shape[axis] - 1);
  });
  update();
}

function changeWindow(dx, dy) {
  const picture = panes.find((pane) => pane.shown?.picture.values)?.shown.picture;
  if (!picture) return;
  const [center, width] = shownWindow(picture);
  const step = Math.max(width, 1e-6) / 200;
  setWindow([center + dy * step, Math.max(width + dx * step * 2, step)]);
}

function setWindow(window) {
  state.window = window?.every(isNumber) ? window.map(round) : null;
  update();
}

function movePan(pane, dx, dy) {
  const [width, height] = pane.size.map((length) => length * pane.scale);
  const { clientWidth, clientHeight } = pane.canvas;
  const most = [(width + clientWidth) / 2 - 24, (height + clientHeight) / 2 - 24];
  pane.pan = [dx, dy].map((step, i) => clamp(pane.pan[i] + step, -most[i], most[i]));
  update();
}

/** Enlarge around a point of the canvas, by default its middle. */
function zoomAt(pane, factor, x = pane.canvas.clientWidth / 2, y = pane.canvas.clientHeight / 2) {
  const before = pane.scale;
  const smallest = Math.min(...pane.axes.slice(0, 2).map((axis) => scene.spacing[axis]));
  pane.zoom = clamp(before * factor, 16 / Math.max(...pane.size), 64 / smallest);
  const middle = [x - pane.canvas.clientWidth / 2, y - pane.canvas.clientHeight / 2];
  pane.pan = middle.map((at, i) => at - ((at - pane.pan[i]) * pane.zoom) / before);
  movePan(pane, 0, 0);
}

/** 0 fits, 1 shows a voxel as a pixel of the screen. */
function setZoom(zoom) {
  for (const pane of panes) {
    const smallest = Math.min(...pane.axes.slice(0, 2).map((axis) => scene.spacing[axis]));
    pane.zoom = zoom && zoom / smallest / devicePixelRatio;
    pane.pan = [0, 0];
  }
  update();
}

function setLayout(layout) {
  state.layout = scene.planes.includes(layout) ? layout : 'all';
  panesElement.dataset.layout = state.layout;
  for (const pane of panes) pane.element.hidden = state.layout !== 'all' && pane.plane !== state.layout;
  active = panes.find((pane) => !pane.element.hidden);
  update();
}

function setTime(t) {
  state.t = clamp(Math.round(t), 0, scene.frames - 1);
  for (const pane of panes) pane.asked = null;
  update();
}

function reset() {
  Object.assign(state, { at: middle(), window: null, t: 0 });
  setZoom(0);
  setTime(0);
}

const middle = () => scene.isStack ? [0, 0, 0] : scene.shape.map((count, axis) => (axis === 2 && scene.title ? 0 : count >> 1));

const KEYS = [
  [['ArrowUp'], '↑', 'next slice', () => active.go(active.index + 1)],
  [['ArrowDown'], '↓', 'slice before', () => active.go(active.index - 1)],
  [['PageUp'], 'Page up', 'ten slices on', () => active.go(active.index + 10)],
  [['PageDown'], 'Page down', 'ten slices back', () => active.go(active.index - 10)],
  [['Home'], 'Home', 'first slice', () => active.go(0)],
  [['End'], 'End', 'last slice', () => active.go(active.count - 1)],
  [['ArrowRight'], '→', 'next volume of a time series', () => setTime(state.t + 1)],
  [['ArrowLeft'], '←', 'volume before', () => setTime(state.t - 1)],
  [['a', 'd'], 'A, D', 'crosshair left, right', (key) => stepCross(key === 'a' ? -1 : 1, 0)],
  [['w', 's'], 'W, S', 'crosshair up, down', (key) => stepCross(0, key === 'w' ? -1 : 1)],
  [['[', ']'], '[, ]', 'narrower, wider window', (key) => changeWindow(key === '[' ? -5 : 5, 0)],
  [['{', '}'], '{, }', 'lower, higher level', (key) => changeWindow(0, key === '{' ? -10 : 10)],
  [['+', '='], '+', 'larger', () => zoomAt(active, 1.25)],
  [['-'], '−', 'smaller', () => zoomAt(active, 0.8)],
  [['0', 'f'], 'F', 'fit', () => setZoom(0)],
  [['1'], '1', 'one voxel a pixel', () => setZoom(1)],
  [['v'], 'V', 'next view: all planes, or one of them', () => nextLayout()],
  [['t'], 'T', 'next tool', () => nextTool()],
  [['x'], 'X', 'crosshair on or off', () => ((state.cross = !state.cross), update())],
  [['m'], 'M', 'smooth or plain voxels', () => ((state.smooth = !state.smooth), update())],
  [['r'], 'R', 'reset', reset],
  [['c'], 'C', 'copy the link to this view', () => copy(viewUrl(), 'The link to this view')],
  [['u'], 'U', 'copy the URL of the slice as a picture', () => copy(pictureUrl(), 'The URL of the picture')],
  [['i'], 'I', 'what the file says of itself', () => toggle(dialogs.info)],
  [['n'], 'N', 'next file of the folder', () => document.querySelector('a[rel=next]')?.click()],
  [['p'], 'P', 'file before', () => document.querySelector('a[rel=prev]')?.click()],
  [['?'], '?', 'these keys', () => toggle(dialogs.help)],
];

function onKey(event) {
  const isTyping = event.target.closest?.('input, select, dialog');
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !scene) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const entry = KEYS.find(([keys]) => keys.includes(key));
  if (!entry) return;
  event.preventDefault();
  entry[3](key);
}

function stepCross(across, down) {
  if (scene.planes.length < 2) return movePan(active, -40 * across, -40 * down);
  const step = scene.isFlipped ? -1 : 1;
  [across, down].forEach((by, i) => {
    const axis = active.axes[i];
    state.at[axis] = clamp(state.at[axis] + by * step, 0, scene.shape[axis] - 1);
  });
  update();
}

function nextTool() {
  const tools = toolsOfScene();
  setTool(tools[(tools.indexOf(state.tool) + 1) % tools.length]);
}

function nextLayout() {
  const layouts = ['all', ...scene.planes];
  setLayout(layouts[(layouts.indexOf(state.layout) + 1) % layouts.length]);
}

function toolsOfScene() {
  if (scene.isPicture) return ['pan'];
  return [...(scene.planes.length > 1 ? ['crosshair'] : []), 'leaf', ...(scene.isColour ? [] : ['window']), 'pan'];
}

function setTool(tool) {
  state.tool = tool;
  report();
}

// --- The page around the picture

const panesElement = make('div', { class: 'panes' });
const tools = make('div', { class: 'tools', role: 'toolbar', 'aria-label': 'View' });
const readout = make('p', { class: 'readout' });
const live = make('p', { class: 'aside', role: 'status' });
const dialogs = {};
const controls = {};
let hover = null;
let told; // the timer of what screen readers are told
let notice = ''; // stands in place of the voxel for some seconds

/** Tell everybody, screen readers too. */
function say(text) {
  notice = text;
  live.textContent = text;
  readout.textContent = text;
  setTimeout(() => notice === text && ((notice = ''), report()), 4000);
}

/** Show what is under the pointer, or else at the crosshair; and what was chosen. */
function report() {
  if (!scene || !panes.length) return;
  const over = hover?.pane.voxel(hover.x, hover.y);
  const pane = over ? hover.pane : active ?? panes[0];
  const at = over || state.at;
  readout.textContent = notice || describeVoxel(pane, at, over);
  clearTimeout(told);
  told = setTimeout(() => {
    if (!notice) live.textContent = `${pane.canvas.getAttribute('aria-label')}. ${describeVoxel(active, state.at)}`;
    keepInUrl();
  }, 500);
  showControls();
}

function describeVoxel(pane, at, isPointed) {
  if (!isPointed && scene.planes.length < 2) return scene.isPicture || scene.isStack ? '' : `frame ${state.at[2] + 1} of ${scene.shape[2]}`;
  if (scene.isStack) at = [...at.slice(0, 2), 0];
  const parts = [scene.isPicture || scene.isStack ? at.slice(0, 2).join(', ') : `voxel ${at.join(', ')}`];
  if (scene.affine) {
    const mm = scene.affine.slice(0, 3).map((row) => row[3] + at.reduce((sum, index, axis) => sum + row[axis] * index, 0));
    parts.push(mm.map((length, axis) => `${'RAS LPI'[axis + (length < 0 ? 4 : 0)]} ${Math.abs(length).toFixed(1)}`).join(' ') + ' mm');
  }
  const value = pane.value(scene.isStack ? [...at.slice(0, 2), pane.index] : at);
  if (value !== null) parts.push(`value ${round(value)}`);
  if (scene.frames > 1) parts.push(`volume ${state.t + 1} of ${scene.frames}`);
  return parts.join(' · ');
}

function button(text, label, listener, attributes = {}) {
  const name = /[a-z]/.test(text) ? {} : { 'aria-label': label }; // words are their own name
  return make('button', { text, class: 'button', type: 'button', title: label, on: { click: listener }, ...name, ...attributes });
}

function group(label, ...children) {
  return make('div', { class: 'group', role: 'group', 'aria-label': label }, ...children);
}

/** Buttons of which one is chosen, kept in `controls` by name. */
function choices(kind, label, names, choose) {
  controls[kind] = names.map(([name, text, title]) => button(text, title, () => choose(name), { 'data-name': name }));
  return names.length > 1 ? group(label, ...controls[kind]) : '';
}

function makeTools() {
  const number = (label, at) => {
    const input = make('input', { type: 'number', step: 'any', class: 'number', 'aria-label': label, title: label });
    input.addEventListener('change', () => {
      const window = [controls.center.value, controls.width.value].map(Number);
      if (window.every(isNumber) && window[1] > 0) setWindow(window);
    });
    return (controls[at] = input);
  };
  const layouts = [['all', 'All', 'All planes'], ...scene.planes.map((plane) => [plane, plane[0].toUpperCase() + plane.slice(1), `Only the ${plane} plane`])];
  const hasWindow = !scene.isPicture && !scene.isColour;
  tools.replaceChildren(
    scene.planes.length > 1 ? choices('layout', 'Planes', layouts, setLayout) : '',
    choices('tool', 'Tool', toolsOfScene().map((tool) => [tool, tool[0].toUpperCase() + tool.slice(1), TOOLS[tool]]), setTool),
    hasWindow ? group('Window', make('span', { text: 'Window', 'aria-hidden': 'true' }), number('Level: the value in the middle', 'center'), number('Width: the values from black to white', 'width'), makePresets()) : '',
    group('Size', button('Fit', 'Fit', () => setZoom(0)), button('1:1', '1:1: one voxel a pixel', () => setZoom(1)), button('−', 'Smaller', () => zoomAt(active, 0.8)), button('+', 'Larger', () => zoomAt(active, 1.25)), button('Reset', 'Reset the view', reset)),
    group('Links', button('Copy link', 'Copy the link to this view', () => copy(viewUrl(), 'The link to this view')), button('Copy picture URL', 'Copy the URL of this slice as a picture, for a model or a page', () => copy(pictureUrl(), 'The URL of the picture'))),
    group('More', button('Info', 'What the file says of itself', () => toggle(dialogs.info)), button('?', 'Keys', () => toggle(dialogs.help)), 'threeD' in main.dataset ? make('a', { text: '3D', class: 'button', href: '?3d', title: 'Open in 3D' }) : ''),
  );
}

function makePresets() {
  const { range } = scene.info ?? {};
  const isCt = scene.info?.tags?.Modality === 'CT' || (range?.min <= -200 && range?.max >= 200);
  const names = ['File', 'Slice, 2–98 %', 'Slice, all', ...(isCt ? Object.keys(CT_WINDOWS) : [])];
  const select = make('select', { 'aria-label': 'Window presets', class: 'button' }, make('option', { text: 'Preset', value: '' }));
  select.append(...names.map((text) => make('option', { text, value: text })));
  select.addEventListener('change', () => {
    const picture = active.shown?.picture;
    if (select.value === 'File') setWindow(null);
    else if (CT_WINDOWS[select.value]) setWindow(CT_WINDOWS[select.value]);
    else if (picture?.values) setWindow(windowOf(limits(picture, select.value.endsWith('%') ? 0.02 : 0)));
    select.value = '';
  });
  return select;
}

function showControls() {
  for (const kind of ['layout', 'tool']) {
    for (const choice of controls[kind] ?? []) choice.setAttribute('aria-pressed', choice.dataset.name === state[kind]);
  }
  const picture = (active ?? panes[0]).shown?.picture;
  if (controls.center && picture?.values) {
    const [center, width] = shownWindow(picture).map(round);
    if (document.activeElement !== controls.center) controls.center.value = center;
    if (document.activeElement !== controls.width) controls.width.value = width;
  }
  if (controls.time) {
    controls.time.value = state.t;
    controls.time.setAttribute('aria-valuetext', `${state.t + 1} of ${scene.frames}`);
  }
}

function makeTime() {
  if (scene.frames < 2) return '';
  controls.time = make('input', { type: 'range', min: 0, max: scene.frames - 1, 'aria-label': 'Volume of the time series' });
  controls.time.addEventListener('input', () => setTime(Number(controls.time.value)));
  return make('label', { class: 'time' }, make('span', { text: 'Time' }), controls.time);
}

function makeDialog(title, ...content) {
  const dialog = make('dialog', { 'aria-label': title });
  dialog.append(make('div', { class: 'bar' }, make('h2', { text: title }), button('Close', 'Close', () => dialog.close())), ...content);
  return dialog;
}

const toggle = (dialog) => (dialog.open ? dialog.close() : dialog.showModal());

const rows = (pairs) => make('dl', { class: 'facts' }, ...pairs.flatMap(([key, text]) => [make('dt', { text: key }), make('dd', { text })]));

function makeInfo() {
  const { tags, ...facts } = scene.info ?? {};
  const pairs = Object.entries({ ...facts, ...tags }).map(([key, value]) => [key.replaceAll('_', ' '), inWords(value)]);
  return (dialogs.info = makeDialog('What the file says of itself', pairs.length ? rows(pairs) : make('p', { text: 'Nothing.' })));
}

function makeDialogs() {
  const mouse = [
    ['Wheel', 'leaf; with Ctrl, or in a picture, zoom'],
    ['Drag', 'the tool that is chosen'],
    ['Right button, or Shift', 'drag sideways for the window’s width, up and down for its level'],
    ['Middle button', 'drag the picture'],
    ['Double click', 'one plane large, and back'],
    ['Two fingers', 'zoom and move'],
  ];
  dialogs.help = makeDialog('Keys and mouse', rows([...KEYS.map(([, keys, what]) => [keys, what]), ...mouse]));
  makeInfo();
  return Object.values(dialogs);
}

/** A value of JSON for people: a matrix has a line for each row. */
function inWords(value) {
  if (Array.isArray(value)) return value.map(inWords).join(Array.isArray(value[0]) ? '\n' : ', ');
  if (value === null || value === '') return 'unknown';
  if (typeof value === 'object') return Object.entries(value).map(([key, part]) => `${key} ${inWords(part)}`).join(', ');
  return { true: 'yes', false: 'no' }[value] ?? (isNumber(value) ? `${round(value)}` : `${value}`);
}

// --- Links

/** The state as the fragment of the URL has it. */
function fragment() {
  const parts = [];
  if (scene.isStack) parts.push(`file=${encodeURIComponent(scene.files[state.at[2]].name)}`);
  else if (!scene.isPicture) parts.push(`at=${state.at.join(',')}`);
  if (state.t) parts.push(`t=${state.t}`);
  if (state.window) parts.push(`window=${state.window.join(',')}`);
  if (state.layout !== 'all') parts.push(`plane=${state.layout}`);
  return parts.length ? `#${parts.join('&')}` : '';
}

const viewUrl = () => location.href.split('#')[0] + fragment();

/** The slice that has the focus, as a picture of 8 bits in this window. */
function pictureUrl() {
  if (scene.isPicture) return `${fileUrl}?thumb=1024`;
  const picture = active.shown?.picture;
  const window = picture?.values ? `&window=${shownWindow(picture).map(round).join(',')}` : '';
  if (scene.isStack) return active.url.replace('&depth=16', '') + (active.url.includes('?slice') ? window : '');
  return sliceUrl(fileUrl, active.plane, active.index).replace('&depth=16', '') + window;
}

function keepInUrl() {
  if (location.hash !== fragment()) history.replaceState(null, '', viewUrl());
}

function readFragment() {
  const query = new URLSearchParams(location.hash.slice(1));
  const numbers = (key, count) => {
    const list = (query.get(key) ?? '').split(',').map(Number);
    return query.get(key) && list.length === count && list.every(isNumber) ? list : null;
  };
  const window = numbers('window', 2);
  const [t] = numbers('t', 1) ?? [0];
  return {
    ...{ at: numbers('at', 3), t: Math.max(0, Math.trunc(t)), window: window?.[1] > 0 ? window : null },
    ...{ layout: query.get('plane') ?? (IS_SMALL ? 'axial' : 'all'), file: query.get('file') },
  };
}

/** Show what the fragment says, as far as it is there. */
function applyFragment() {
  const wanted = readFragment();
  const found = scene.isStack ? scene.files.findIndex((entry) => entry.name === wanted.file) : -1;
  const at = wanted.at ?? (found >= 0 ? [0, 0, found] : middle());
  state.at = at.map((index, axis) => clamp(Math.trunc(index), 0, scene.shape[axis] - 1));
  state.window = wanted.window;
  setLayout(wanted.layout);
  setTime(wanted.t);
}

/** Copy, or, if the page may not (it came over plain HTTP), show what is to be copied. */
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} is copied.`);
  } catch {
    const input = make('input', { class: 'copied', 'aria-label': what, readonly: '', value: text });
    const dialog = makeDialog(`${what}: copy it from here`, input);
    dialog.addEventListener('close', () => dialog.remove());
    main.append(dialog);
    dialog.showModal();
    input.select();
  }
}

/** Links to the files before and after this one, in the order of the listing. */
async function addNeighbours() {
  if (!('hasFolder' in main.dataset)) return;
  const nav = make('nav', { class: 'group', 'aria-label': 'Files of the folder' });
  document.querySelector('header').append(nav);
  for (const [key, rel, text] of [['before', 'prev', 'Previous'], ['after', 'next', 'Next']]) {
    const entry = await neighbour(key).catch(() => null);
    if (entry) nav.append(make('a', { class: 'button', rel, text, href: `./${entry.url}`, title: entry.name }));
  }
}

async function neighbour(key) {
  const url = new URL(folder, location.href).href;
  for (let cursor = `f0.${name}`; ; ) {
    const page = await askJson(`${url}?format=json&limit=200&${key}=${encodeURIComponent(cursor)}`);
    const entries = key === 'before' ? page.entries.reverse() : page.entries;
    const found = entries.find(isShowable);
    const last = entries.at(-1);
    if (found || !last || last.type !== 'file') return found;
    cursor = `f0.${last.url}`;
  }
}

function fail(text) {
  main.replaceChildren(
    make('div', { class: 'problem-box', role: 'alert' },
      make('p', { text }),
      make('p', {}, button('Try again', 'Try again', () => location.reload()), make('a', { class: 'button', href: fileUrl, text: hint === 'folder' ? 'Open the folder' : 'Open the file' }))),
  );
}

/** A folder without frames: what else of it can be shown. */
function listVolumes(volumes) {
  if (!volumes.length) return fail('This folder holds no picture, DICOM file or volume that can be shown.');
  const links = volumes.map((entry) => make('li', {}, make('a', { href: `./${entry.url}`, text: entry.name })));
  main.replaceChildren(make('div', { class: 'problem-box' }, make('p', { text: 'This folder holds volumes, each of which is a stack by itself:' }), make('ul', {}, ...links)));
}

// --- The start

/** Ask for the first pictures at once with the facts: one pass of the server for all. */
function askEarly() {
  const { at, t, layout } = readFragment();
  if (hint === 'picture') pictures.load(`${fileUrl}?thumb=2048`);
  if (hint === 'dicom') pictures.load(sliceUrl(fileUrl, 'axial', at ? at[2] : 0));
  if (hint !== 'volume') return;
  state.t = t;
  const planes = PLANES[layout] ? [layout] : Object.keys(PLANES);
  for (const plane of planes) pictures.load(sliceUrl(fileUrl, plane, at ? at[PLANES[plane][2]] : 'mid'));
}

async function open() {
  if (hint === 'folder') return openFolder();
  askEarly();
  const info = await askJson(`${fileUrl}?info`);
  if (info.kind === 'picture') return openPicture(info, fileUrl);
  for (const plane of Object.keys(PLANES)) {
    const index = info.shape[PLANES[plane][2]] >> 1;
    pictures.rename(sliceUrl(fileUrl, plane, 'mid'), sliceUrl(fileUrl, plane, index));
  }
  return openVolume(info, fileUrl);
}

async function start() {
  main.replaceChildren(make('p', { class: 'message', role: 'status', text: 'Loading …' }), live);
  try {
    scene = await open();
  } catch (error) {
    fail(describe(error));
    return addNeighbours();
  }
  if (scene.isStack && !scene.files.length) await scene.complete();
  if (scene.isStack && !scene.files.length) return listVolumes(scene.volumes);
  state.tool = toolsOfScene()[0];
  makeTools();
  panes.push(...scene.planes.map((plane) => new Pane(plane)));
  panesElement.append(...panes.map((pane) => pane.element));
  main.replaceChildren(tools, panesElement, makeTime(), readout, live, ...makeDialogs());
  applyFragment();
  addEventListener('hashchange', applyFragment);
  document.addEventListener('keydown', onKey);
  await scene.complete?.().catch((error) => say(describe(error)));
  await addNeighbours();
}

start();
