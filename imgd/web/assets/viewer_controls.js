// The page around the picture: buttons, sliders, the text below, dialogs.

import { isNumber, main, make, panes, round, state, view } from './viewer_view.js';
import { limits, shownWindow, windowOf } from './viewer_panes.js';
import {
  KEYS, reset, setLayout, setTime, setTool, setWindow, setZoom, TOOLS, toolsOfScene, zoomAt,
} from './viewer_input.js';
import { copy, keepInUrl, pictureUrl, viewUrl } from './viewer.js';

const CT_WINDOWS = { Brain: [40, 80], Lung: [-600, 1500], Bone: [400, 1800], Abdomen: [50, 400] };
export const panesElement = make('div', { class: 'panes' });
export const tools = make('div', { class: 'tools', role: 'toolbar', 'aria-label': 'View' });
export const readout = make('p', { class: 'readout' });
export const live = make('p', { class: 'aside', role: 'status' });
export const dialogs = {};
const controls = {};
let told; // the timer of what screen readers are told
let notice = ''; // stands in place of the voxel for some seconds

/** Tell everybody, screen readers too. */
export function say(text) {
  notice = text;
  live.textContent = text;
  readout.textContent = text;
  setTimeout(() => notice === text && ((notice = ''), report()), 4000);
}

/** Show what is under the pointer, or else at the crosshair; and what was chosen. */
export function report() {
  if (!view.scene || !panes.length) return;
  const over = view.hover?.pane.voxel(view.hover.x, view.hover.y);
  const pane = over ? view.hover.pane : view.active ?? panes[0];
  const at = over || state.at;
  readout.textContent = notice || describeVoxel(pane, at, over);
  clearTimeout(told);
  told = setTimeout(() => {
    if (!notice) live.textContent = `${pane.canvas.getAttribute('aria-label')}. ${describeVoxel(view.active, state.at)}`;
    keepInUrl();
  }, 500);
  showControls();
}

function describeVoxel(pane, at, isPointed) {
  if (!isPointed && view.scene.planes.length < 2) return view.scene.isPicture || view.scene.isStack ? '' : `frame ${state.at[2] + 1} of ${view.scene.shape[2]}`;
  if (view.scene.isStack) at = [...at.slice(0, 2), 0];
  const parts = [view.scene.isPicture || view.scene.isStack ? at.slice(0, 2).join(', ') : `voxel ${at.join(', ')}`];
  if (view.scene.affine) {
    const mm = view.scene.affine.slice(0, 3).map((row) => row[3] + at.reduce((sum, index, axis) => sum + row[axis] * index, 0));
    parts.push(mm.map((length, axis) => `${'RAS LPI'[axis + (length < 0 ? 4 : 0)]} ${Math.abs(length).toFixed(1)}`).join(' ') + ' mm');
  }
  const value = pane.value(view.scene.isStack ? [...at.slice(0, 2), pane.index] : at);
  if (value !== null) parts.push(`value ${round(value)}`);
  if (view.scene.frames > 1) parts.push(`volume ${state.t + 1} of ${view.scene.frames}`);
  return parts.join(' · ');
}

export function button(text, label, listener, attributes = {}) {
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

export function makeTools() {
  const number = (label, at) => {
    const input = make('input', { type: 'number', step: 'any', class: 'number', 'aria-label': label, title: label });
    input.addEventListener('change', () => {
      const window = [controls.center.value, controls.width.value].map(Number);
      if (window.every(isNumber) && window[1] > 0) setWindow(window);
    });
    return (controls[at] = input);
  };
  const layouts = [['all', 'All', 'All planes'], ...view.scene.planes.map((plane) => [plane, plane[0].toUpperCase() + plane.slice(1), `Only the ${plane} plane`])];
  const hasWindow = !view.scene.isPicture && !view.scene.isColour;
  tools.replaceChildren(
    view.scene.planes.length > 1 ? choices('layout', 'Planes', layouts, setLayout) : '',
    choices('tool', 'Tool', toolsOfScene().map((tool) => [tool, tool[0].toUpperCase() + tool.slice(1), TOOLS[tool]]), setTool),
    hasWindow ? group('Window', make('span', { text: 'Window', 'aria-hidden': 'true' }), number('Level: the value in the middle', 'center'), number('Width: the values from black to white', 'width'), makePresets()) : '',
    group('Size', button('Fit', 'Fit', () => setZoom(0)), button('1:1', '1:1: one voxel a pixel', () => setZoom(1)), button('−', 'Smaller', () => zoomAt(view.active, 0.8)), button('+', 'Larger', () => zoomAt(view.active, 1.25)), button('Reset', 'Reset the view', reset)),
    group('Links', button('Copy link', 'Copy the link to this view', () => copy(viewUrl(), 'The link to this view')), button('Copy picture URL', 'Copy the URL of this slice as a picture, for a model or a page', () => copy(pictureUrl(), 'The URL of the picture'))),
    group('More', button('Info', 'What the file says of itself', () => toggle(dialogs.info)), button('?', 'Keys', () => toggle(dialogs.help)), 'threeD' in main.dataset ? make('a', { text: '3D', class: 'button', href: '?3d', title: 'Open in 3D' }) : ''),
  );
}

function makePresets() {
  const { range } = view.scene.info ?? {};
  const isCt = view.scene.info?.tags?.Modality === 'CT' || (range?.min <= -200 && range?.max >= 200);
  const names = ['File', 'Slice, 2–98 %', 'Slice, all', ...(isCt ? Object.keys(CT_WINDOWS) : [])];
  const select = make('select', { 'aria-label': 'Window presets', class: 'button' }, make('option', { text: 'Preset', value: '' }));
  select.append(...names.map((text) => make('option', { text, value: text })));
  select.addEventListener('change', () => {
    const picture = view.active.shown?.picture;
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
  const picture = (view.active ?? panes[0]).shown?.picture;
  if (controls.center && picture?.values) {
    const [center, width] = shownWindow(picture).map(round);
    if (document.activeElement !== controls.center) controls.center.value = center;
    if (document.activeElement !== controls.width) controls.width.value = width;
  }
  if (controls.time) {
    controls.time.value = state.t;
    controls.time.setAttribute('aria-valuetext', `${state.t + 1} of ${view.scene.frames}`);
  }
}

export function makeTime() {
  if (view.scene.frames < 2) return '';
  controls.time = make('input', { type: 'range', min: 0, max: view.scene.frames - 1, 'aria-label': 'Volume of the time series' });
  controls.time.addEventListener('input', () => setTime(Number(controls.time.value)));
  return make('label', { class: 'time' }, make('span', { text: 'Time' }), controls.time);
}

export function makeDialog(title, ...content) {
  const dialog = make('dialog', { 'aria-label': title });
  dialog.append(make('div', { class: 'bar' }, make('h2', { text: title }), button('Close', 'Close', () => dialog.close())), ...content);
  return dialog;
}

export const toggle = (dialog) => (dialog.open ? dialog.close() : dialog.showModal());
const rows = (pairs) => make('dl', { class: 'facts' }, ...pairs.flatMap(([key, text]) => [make('dt', { text: key }), make('dd', { text })]));

export function makeInfo() {
  const { tags, ...facts } = view.scene.info ?? {};
  const pairs = Object.entries({ ...facts, ...tags }).map(([key, value]) => [key.replaceAll('_', ' '), inWords(value)]);
  return (dialogs.info = makeDialog('What the file says of itself', pairs.length ? rows(pairs) : make('p', { text: 'Nothing.' })));
}

export function makeDialogs() {
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
