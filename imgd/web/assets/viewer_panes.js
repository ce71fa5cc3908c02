// The planes on the page, and what is drawn on them.

import { clamp, main, make, panes, PLANES, state, view, visible } from './viewer_view.js';
import { describe, pictures } from './viewer_fetch.js';
import { isDicom } from './viewer_scenes.js';
import { listen } from './viewer_input.js';
import { dialogs, makeInfo, report } from './viewer_controls.js';

const PREFETCHED = 6; // slices ahead

/** One plane on the page: its canvas, letters, label and slider. */
export class Pane {
  zoom = 0; // CSS pixels a millimetre; 0 fits
  pan = [0, 0]; // CSS pixels from the middle
  direction = 1; // in which one leafs

  constructor(plane) {
    this.plane = plane;
    this.axes = PLANES[plane];
    const title = view.scene.title ?? plane[0].toUpperCase() + plane.slice(1);
    this.title = title;
    this.canvas = make('canvas', { tabindex: 0, role: 'application', 'aria-roledescription': 'image' });
    this.context = this.canvas.getContext('2d', { alpha: false });
    this.buffer = document.createElement('canvas');
    this.label = make('p', { class: 'label' });
    this.message = make('p', { class: 'message', hidden: '' });
    this.letters = ['top', 'right', 'bottom', 'left'].map((side) => make('span', { class: `letter ${side}`, 'aria-hidden': 'true' }));
    this.slider = make('input', { type: 'range', min: 0, 'aria-label': `${title}: slice` });
    this.slider.addEventListener('input', () => this.go(Number(this.slider.value)));
    const frame = make('div', { class: 'view' }, this.canvas, this.label, ...this.letters, this.message);
    this.element = make('section', { class: `pane ${plane}`, 'aria-label': title }, frame, this.slider);
    this.canvas.addEventListener('focus', () => (view.active = this));
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.setRange();
    this.setLetters();
    listen(this);
  }

  get index() { return state.at[this.axes[2]]; }
  get count() { return view.scene.shape[this.axes[2]]; }
  get size() { return [0, 1].map((side) => view.scene.shape[this.axes[side]] * view.scene.spacing[this.axes[side]]); }
  get url() { return view.scene.url(this.plane, this.index); }
  get isVisible() { return this.canvas.clientWidth > 0; }

  setRange() {
    this.slider.max = this.count - 1;
    this.slider.hidden = this.count < 2;
  }

  /** The letters of the patient's sides, from where a step over the picture leads. */
  setLetters() {
    const step = view.scene.isFlipped ? -1 : 1;
    const towards = (axis, sign) => view.scene.affine && side(view.scene.affine.slice(0, 3).map((row) => row[axis] * sign * step));
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
    const [columns, rows] = this.axes.map((axis) => view.scene.shape[axis]);
    return [Math.floor(((x - left) / width) * columns), Math.floor(((y - top) / height) * rows)];
  }

  /** The index of a column or row, and back. */
  flip(position, axis) { return view.scene.isFlipped ? view.scene.shape[axis] - 1 - position : position; }

  /** The voxel at a point of the canvas; null outside the picture. */
  voxel(x, y) {
    const at = [...state.at];
    this.cell(x, y).forEach((position, i) => (at[this.axes[i]] = this.flip(position, this.axes[i])));
    return at.every((index, axis) => index >= 0 && index < view.scene.shape[axis]) ? at : null;
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
    if (this.shown && view.scene.isStack) fitStack(this.shown);
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
    context.imageSmoothingEnabled = state.smooth && !shown.picture.isLabels;
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.source(shown.picture), ...this.box);
    if (state.cross && view.scene.planes.length > 1) this.drawCross();
  }

  /** What is drawn of a picture: its values through the window, made anew if one of them changed. */
  source(picture) {
    if (!picture.values) return picture.bitmap;
    const [center, width] = shownWindow(picture);
    const isInverted = !!view.scene.info?.is_inverted; // MONOCHROME1: high values are dark
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
    const [x, y] = this.axes.map((axis) => (this.flip(state.at[axis], axis) + 0.5) / view.scene.shape[axis]);
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
    const file = view.scene.isStack ? ` · \u2068${visible(view.scene.files[this.index].name)}\u2069` : '';
    this.label.textContent = view.scene.isPicture ? '' : `${this.title} ${position}${file}`;
    this.slider.value = this.index;
    this.slider.setAttribute('aria-valuetext', position);
    this.canvas.setAttribute('aria-label', view.scene.isPicture ? this.title : `${this.title}, slice ${position}${file}`);
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
  const entry = view.scene.files[index];
  const info = isDicom(entry) ? view.scene.facts(entry) : null;
  if (view.scene.info !== info) view.scene.isChanged = true;
  Object.assign(view.scene, { info, window: info?.window, affine: info?.display_affine, spacing: info?.voxel_size ?? [1, 1, 1] });
  view.scene.shape.splice(0, 2, picture.width, picture.height);
}

/** Center and width: the user's, or the file's, or else all values of the slice. */
export function shownWindow(picture) {
  const [center, width] = state.window ?? view.scene.window ?? fullWindow(picture);
  return [center, Math.max(width, 1e-9)];
}

export function limits({ values, scale, offset }, part = 0) {
  const counts = new Uint32Array(65536);
  for (const value of values) counts[value]++;
  const bound = (order) => {
    let left = part * values.length;
    return order.find((value) => counts[value] && (left -= counts[value]) < 0);
  };
  const levels = [...counts.keys()];
  return [bound(levels), bound(levels.reverse())].map((value) => value * scale + offset);
}

export function windowOf([low, high]) {
  return [(low + high) / 2, high - low || 1];
}

const fullWindow = (picture) => windowOf(limits(picture));
let isDue = false;

/** Show what is to be seen now: at the next frame of the screen, once for many calls. */
export function update(came) {
  if (came) for (const pane of panes) pane.take(came);
  if (isDue || !view.scene) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    const seen = panes.filter((pane) => pane.isVisible);
    for (const pane of seen) pane.take();
    if (view.scene.isChanged) {
      view.scene.isChanged = false;
      panes[0].setLetters();
      dialogs.info?.replaceWith(makeInfo());
    }
    for (const pane of seen) pane.draw();
    const urls = seen.map((pane) => pane.url).filter(Boolean);
    const isReady = urls.every((url) => pictures.kept.has(url) || pictures.failed.has(url));
    main.toggleAttribute('data-ready', seen.every((pane) => pane.shown?.url === pane.url));
    pictures.want([...urls, ...ahead(seen)], urls, isReady);
    report();
  });
}

/** The slices that are likely to be asked for next: those beside each that is seen, which the server
 * makes in one pass, then more in the direction of leafing.
 */
function ahead(seen) {
  const { active } = view;
  const ordered = [...seen].sort((a, b) => (b === active) - (a === active));
  const steps = ordered.flatMap((pane) => [[pane, pane.direction], [pane, -pane.direction]]);
  for (let step = 2; step <= PREFETCHED && active; step++) steps.push([active, step * active.direction]);
  return steps.flatMap(([pane, step]) => {
    const index = pane.index + step;
    if (index < 0 || index >= pane.count) return [];
    const url = view.scene.url(pane.plane, index);
    (pane.asked ??= new Map()).set(url, index);
    return [url];
  });
}
