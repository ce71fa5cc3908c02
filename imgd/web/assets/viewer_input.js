// Mouse, touch and keys.

import { clamp, isNumber, panes, round, state, view } from './viewer_view.js';
import { shownWindow, update } from './viewer_panes.js';
import { dialogs, panesElement, report, toggle } from './viewer_controls.js';
import { copy, pictureUrl, viewUrl } from './viewer.js';

export const TOOLS = {
  crosshair: 'Move the crosshair',
  leaf: 'Leaf through the slices',
  window: 'Change window (sideways) and level (up, down)',
  pan: 'Move the picture',
};

export function listen(pane) {
  const { canvas } = pane;
  const pointers = new Map();
  let action = '';
  let spread = 0;
  const point = (event) => [event.offsetX, event.offsetY];
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    view.active = pane;
    pointers.set(event.pointerId, point(event));
    spread = 0;
    action = pointers.size > 1 ? 'pinch' : ({ 1: 'pan', 2: 'window' }[event.button] ?? (event.shiftKey ? 'window' : state.tool));
    if (action === 'crosshair') moveCross(pane, ...point(event));
    event.preventDefault();
  });
  canvas.addEventListener('pointermove', (event) => {
    const before = pointers.get(event.pointerId);
    const [x, y] = point(event);
    view.hover = { pane, x, y };
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
  canvas.addEventListener('pointerleave', () => ((view.hover = null), report()));
  canvas.addEventListener('dblclick', () => view.scene.planes.length > 1 && setLayout(state.layout === 'all' ? pane.plane : 'all'));
  let turned = 0;
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    view.active = pane;
    if (event.ctrlKey || view.scene.isPicture) return zoomAt(pane, Math.exp(-event.deltaY / 400), ...point(event));
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
    state.at[axis] = clamp(pane.flip(position, axis), 0, view.scene.shape[axis] - 1);
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

export function setWindow(window) {
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
export function zoomAt(pane, factor, x = pane.canvas.clientWidth / 2, y = pane.canvas.clientHeight / 2) {
  const before = pane.scale;
  const smallest = Math.min(...pane.axes.slice(0, 2).map((axis) => view.scene.spacing[axis]));
  pane.zoom = clamp(before * factor, 16 / Math.max(...pane.size), 64 / smallest);
  const middle = [x - pane.canvas.clientWidth / 2, y - pane.canvas.clientHeight / 2];
  pane.pan = middle.map((at, i) => at - ((at - pane.pan[i]) * pane.zoom) / before);
  movePan(pane, 0, 0);
}

/** 0 fits, 1 shows a voxel as a pixel of the screen. */
export function setZoom(zoom) {
  for (const pane of panes) {
    const smallest = Math.min(...pane.axes.slice(0, 2).map((axis) => view.scene.spacing[axis]));
    pane.zoom = zoom && zoom / smallest / devicePixelRatio;
    pane.pan = [0, 0];
  }
  update();
}

export function setLayout(layout) {
  state.layout = view.scene.planes.includes(layout) ? layout : 'all';
  panesElement.dataset.layout = state.layout;
  for (const pane of panes) pane.element.hidden = state.layout !== 'all' && pane.plane !== state.layout;
  view.active = panes.find((pane) => !pane.element.hidden);
  update();
}

export function setTime(t) {
  state.t = clamp(Math.round(t), 0, view.scene.frames - 1);
  for (const pane of panes) pane.asked = null;
  update();
}

export function reset() {
  Object.assign(state, { at: middle(), window: null, t: 0 });
  setZoom(0);
  setTime(0);
}

export const middle = () => view.scene.isStack ? [0, 0, 0] : view.scene.shape.map((count, axis) => (axis === 2 && view.scene.title ? 0 : count >> 1));

export const KEYS = [
  [['ArrowUp'], '↑', 'next slice', () => view.active.go(view.active.index + 1)],
  [['ArrowDown'], '↓', 'slice before', () => view.active.go(view.active.index - 1)],
  [['PageUp'], 'Page up', 'ten slices on', () => view.active.go(view.active.index + 10)],
  [['PageDown'], 'Page down', 'ten slices back', () => view.active.go(view.active.index - 10)],
  [['Home'], 'Home', 'first slice', () => view.active.go(0)],
  [['End'], 'End', 'last slice', () => view.active.go(view.active.count - 1)],
  [['ArrowRight'], '→', 'next volume of a time series, frame or picture', () => stepAside(1)],
  [['ArrowLeft'], '←', 'the one before', () => stepAside(-1)],
  [['a', 'd'], 'A, D', 'crosshair left, right', (key) => stepCross(key === 'a' ? -1 : 1, 0)],
  [['w', 's'], 'W, S', 'crosshair up, down', (key) => stepCross(0, key === 'w' ? -1 : 1)],
  [['[', ']'], '[, ]', 'narrower, wider window', (key) => changeWindow(key === '[' ? -5 : 5, 0)],
  [['{', '}'], '{, }', 'lower, higher level', (key) => changeWindow(0, key === '{' ? -10 : 10)],
  [['+', '='], '+', 'larger', () => zoomAt(view.active, 1.25)],
  [['-'], '−', 'smaller', () => zoomAt(view.active, 0.8)],
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
  [['n'], 'N', 'next file of the folder', () => openNeighbour(1)],
  [['p'], 'P', 'file before', () => openNeighbour(-1)],
  [['?'], '?', 'these keys', () => toggle(dialogs.help)],
];

export function onKey(event) {
  const isTyping = event.target.closest?.('input, select, dialog');
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !view.scene) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const entry = KEYS.find(([keys]) => keys.includes(key));
  if (!entry) return;
  event.preventDefault();
  entry[3](key);
}

const openNeighbour = (step) => document.querySelector(`a[rel=${step > 0 ? 'next' : 'prev'}]`)?.click();

function stepAside(step) {
  if (view.scene.isPicture) openNeighbour(step);
  else if (view.scene.planes.length < 2) view.active.go(view.active.index + step);
  else setTime(state.t + step);
}

function stepCross(across, down) {
  if (view.scene.planes.length < 2) return movePan(view.active, -40 * across, -40 * down);
  const step = view.scene.isFlipped ? -1 : 1;
  [across, down].forEach((by, i) => {
    const axis = view.active.axes[i];
    state.at[axis] = clamp(state.at[axis] + by * step, 0, view.scene.shape[axis] - 1);
  });
  update();
}

function nextTool() {
  const tools = toolsOfScene();
  setTool(tools[(tools.indexOf(state.tool) + 1) % tools.length]);
}

function nextLayout() {
  const layouts = ['all', ...view.scene.planes];
  setLayout(layouts[(layouts.indexOf(state.layout) + 1) % layouts.length]);
}

export function toolsOfScene() {
  if (view.scene.isPicture) return ['pan'];
  const { planes, shape, isStack, isColour } = view.scene;
  const canLeaf = isStack || planes.length > 1 || shape[2] > 1;
  return [...(planes.length > 1 ? ['crosshair'] : []), ...(canLeaf ? ['leaf'] : []), ...(isColour ? [] : ['window']), 'pan'];
}

export function setTool(tool) {
  state.tool = tool;
  report();
}
