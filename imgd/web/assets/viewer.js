// The viewer: asks the server for slices and pictures, and draws them. No library, no markup made
// of text. Indices count as the server's do: from the patient's left, back and foot, from 0.

import {
  clamp, file, fileUrl, folder, hint, IS_SMALL, isNumber, main, make, name, panes, PLANES, round,
  state, view, visible,
} from './viewer_view.js';
import { askJson, describe, pictures } from './viewer_fetch.js';
import { isShowable, openFolder, openPicture, openSeries, openVolume, sliceUrl } from './viewer_scenes.js';
import { Pane, shownWindow } from './viewer_panes.js';
import { middle, onKey, setLayout, setTime, toolsOfScene } from './viewer_input.js';
import {
  button, live, makeDialog, makeDialogs, makeTime, makeTools, panesElement, readout, say, tools,
} from './viewer_controls.js';

/** The state as the fragment of the URL has it. */
function fragment() {
  const parts = [];
  if (view.scene.isStack) parts.push(`file=${encodeURIComponent(view.scene.files[state.at[2]].name)}`);
  else if (!view.scene.isPicture) parts.push(`at=${state.at.join(',')}`);
  if (state.t) parts.push(`t=${state.t}`);
  if (state.window) parts.push(`window=${state.window.join(',')}`);
  if (state.layout !== 'all') parts.push(`plane=${state.layout}`);
  return parts.length ? `#${parts.join('&')}` : '';
}

export const viewUrl = () => location.href.split('#')[0] + fragment();

/** The slice that has the focus, as a picture of 8 bits in this window. */
export function pictureUrl() {
  if (view.scene.isPicture) return `${fileUrl}?thumb=1024`;
  const picture = view.active.shown?.picture;
  const window = picture?.values ? `&window=${shownWindow(picture).map(round).join(',')}` : '';
  if (view.scene.isStack) return view.active.url.replace('&depth=16', '') + (view.active.url.includes('?slice') ? window : '');
  return sliceUrl(fileUrl, view.active.plane, view.active.index).replace('&depth=16', '') + window;
}

export function keepInUrl() {
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
  const found = view.scene.isStack ? view.scene.files.findIndex((entry) => entry.name === wanted.file) : -1;
  const at = wanted.at ?? (found >= 0 ? [0, 0, found] : middle());
  state.at = at.map((index, axis) => clamp(Math.trunc(index), 0, view.scene.shape[axis] - 1));
  state.window = wanted.window;
  setLayout(wanted.layout);
  setTime(wanted.t);
}

/** Copy, or, if the page may not (it came over plain HTTP), show what is to be copied. */
export async function copy(text, what) {
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

/** Links to the files before and after this one, in the order of the listing, and to them all. */
async function addNeighbours() {
  if (!('hasFolder' in main.dataset)) return;
  const link = (text, href, title, rel) => make('a', { class: 'button', text, href, title, ...(rel ? { rel } : {}) });
  const stack = view.scene?.isPicture || view.scene?.shape[2] === 1;
  const [before, after] = await Promise.all(['before', 'after'].map((key) => neighbour(key).catch(() => null)));
  const nav = make('nav', { class: 'group', 'aria-label': 'Files of the folder' });
  if (stack) nav.append(link('Stack', `./#file=${name}`, 'Leaf through the files of the folder'));
  if (before) nav.append(link('Previous', `./${before.url}`, visible(before.name), 'prev'));
  if (after) nav.append(link('Next', `./${after.url}`, visible(after.name), 'next'));
  document.querySelector('header').append(nav); // all at once, so that none moves
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
  const [href, label] = { folder: [fileUrl, 'Open the folder'], series: [new URL('./', fileUrl).href, 'Show all series'] }[hint] ?? [fileUrl, 'Open the file'];
  main.replaceChildren(
    make('div', { class: 'problem-box', role: 'alert' },
      make('p', { text }),
      make('p', {}, button('Try again', 'Try again', () => location.reload()), make('a', { class: 'button', href, text: label }))),
  );
}

/** A folder without frames: what else of it can be shown. */
function listVolumes(volumes) {
  if (!volumes.length) return fail('This folder holds no picture, DICOM file or volume that can be shown.');
  const links = volumes.map((entry) => make('li', {}, make('a', { href: `./${entry.url}`, text: visible(entry.name) })));
  main.replaceChildren(make('div', { class: 'problem-box' }, make('p', { text: 'This folder holds volumes, each of which is a stack by itself:' }), make('ul', {}, ...links)));
}

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
  if (hint === 'series') return openSeries();
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
  setTimeout(() => view.scene || (main.querySelector('.message')?.replaceChildren('The server still reads the file …')), 5000);
  try {
    view.scene = await open();
  } catch (error) {
    fail(describe(error));
    return addNeighbours();
  }
  if (view.scene.isStack && !view.scene.files.length) await view.scene.complete?.();
  if (view.scene.isStack && !view.scene.files.length) return listVolumes(view.scene.volumes ?? []);
  state.tool = toolsOfScene()[0];
  makeTools();
  panes.push(...view.scene.planes.map((plane) => new Pane(plane)));
  panesElement.append(...panes.map((pane) => pane.element));
  main.replaceChildren(tools, panesElement, makeTime(), readout, live, ...makeDialogs());
  applyFragment();
  addEventListener('hashchange', applyFragment);
  document.addEventListener('keydown', onKey);
  await view.scene.complete?.().catch((error) => say(describe(error)));
  await addNeighbours();
}

start();
