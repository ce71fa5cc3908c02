// What the server sends: pictures and facts, their problems, and a cache.

import { clamp, IS_SMALL, main, panes } from './viewer_view.js';
import { update } from './viewer_panes.js';
import { say } from './viewer_controls.js';

const CACHE_BYTES = (navigator.deviceMemory ?? 8) < 4 || IS_SMALL ? 64e6 : 256e6;
const MAX_REQUESTS = 6; // at once: more wait in the browser for a connection
const STALE_AFTER = 100; // ms in which an answer that is no longer needed may still come
const MAX_LABELS = 32; // values of a slice of a label map
const ANSWER_WITHIN = 120e3; // ms
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** An answer's problem in the server's sentence, or in ours if there is none. */
class Problem extends Error {}

/** Fetch; a server that is busy, or has not read all files yet, is asked again when it says so. Throws Problem, or AbortError. */
async function ask(url, signal) {
  let late = AbortSignal.timeout(ANSWER_WITHIN);
  for (;;) {
    let answer;
    try {
      answer = await fetch(url, { signal: AbortSignal.any([signal, late]) });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Problem(late.aborted ? 'The server did not answer.' : 'The server cannot be reached.');
    }
    if (answer.ok && answer.status !== 202) return answer;
    if (![202, 503].includes(answer.status)) throw new Problem(await sentence(answer));
    const seconds = clamp(Number(answer.headers.get('Retry-After')) || 2, 1, 30);
    const text = await sentence(answer);
    if (answer.ok) { // it goes on, however long that takes
      late = AbortSignal.timeout(ANSWER_WITHIN);
      main.querySelector('.message')?.replaceChildren(text);
    }
    say(answer.ok ? text : `${text} Trying again in ${seconds} s.`);
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
  return { width, height, values, scale, offset, isLabels: scale === 1 && areFew(values), bytes: values.byteLength };
}

/** Whether there are so few values that they are labels, between which nothing lies. */
function areFew(values) {
  const found = new Set();
  for (let i = 0; i < values.length && found.size <= MAX_LABELS; i++) found.add(values[i]);
  return found.size <= MAX_LABELS;
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

  /**
   * Load what is wanted, most urgent first, and what is not `visible` only if the page `isReady`; end
   * requests for what is wanted no more, and others if what is visible needs their place.
   */
  want(urls, visible, isReady) {
    // What failed is asked for again once it was out of sight.
    for (const url of this.failed.keys()) if (!urls.includes(url)) this.failed.delete(url);
    const isMissing = (url) => !this.kept.has(url) && !this.loading.has(url) && !this.failed.has(url);
    const missing = (isReady ? urls : visible).filter(isMissing);
    const urgent = visible.filter(isMissing).length;
    for (const [url, request] of [...this.loading].reverse()) {
      if (visible.includes(url)) continue;
      const isStale = !urls.includes(url);
      const isOld = performance.now() - request.since > STALE_AFTER;
      if ((isStale && isOld) || this.loading.size + urgent > MAX_REQUESTS) request.abort();
      else if (isStale) setTimeout(update, STALE_AFTER);
    }
    for (const url of missing) if (this.loading.size < MAX_REQUESTS) this.load(url);
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

export const describe = (error) => (error instanceof Problem ? error.message : `The viewer failed: ${error.message}`);
export const pictures = new Pictures();
export const askJson = async (url) => (await ask(url, new AbortController().signal)).json();
