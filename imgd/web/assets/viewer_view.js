// What all modules of the viewer share: the page's data, what is shown, and how.

// `scene` is what is shown (viewer_scenes.js), `active` the pane that keys go to, `hover` the point
// under the pointer.
export const view = { scene: null, active: null, hover: null };

export const main = document.getElementById('main');
export const { file, folder, name, hint } = main.dataset;
export const IS_SMALL = matchMedia('(max-width: 44rem)').matches;

// Axes of the volume: that across the picture, that down it, and that along which it is cut.
export const PLANES = { axial: [0, 1, 2], coronal: [0, 2, 1], sagittal: [1, 2, 0] };

export const fileUrl = new URL(file, location.href).href;
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
export const round = (value) => Number(value.toPrecision(6));
/** A name in which nothing is unseen, nor changes the direction of text. */
export const visible = (name) =>
  name.replace(/[\p{Cc}\p{Cf}]/gu, (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);
export const isNumber = (value) => Number.isFinite(value);

/** An element: `properties` are set, `on` listens, what is left are its attributes. */
export function make(tag, { text = '', on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const panes = [];
export const state = { at: [0, 0, 0], t: 0, window: null, layout: 'all', tool: 'crosshair', cross: true, smooth: true };
