// What can be shown: a volume, a picture, the files of a folder.

import { fileUrl, folder, panes, PLANES, state } from './viewer_view.js';
import { askJson } from './viewer_fetch.js';
import { update } from './viewer_panes.js';

const MAX_ORIGINAL = 40e6; // pixels of a picture that is loaded as it is
const FRAME = /\.(jpe?g|jfif|png|gif|webp|tiff?|bmp|avif|jp2|j2k)$/i;
const VOLUME = /\.(nii|nii\.gz|hdr|hdr\.gz|mha|mhd|nrrd|nhdr|mgh|mgz)$/i;
const IN_BROWSERS = ['JPEG', 'PNG', 'GIF', 'WebP', 'WEBP', 'BMP', 'AVIF'];

/** A volume, or the frames of a DICOM file. */
export function openVolume(info, url) {
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

export const sliceUrl = (url, plane, index) => `${url}?slice=${plane}:${index}&depth=16${state.t ? `&t=${state.t}` : ''}`;

/** A photograph; `url` is that of a smaller copy unless more pixels are to be seen than it has. */
export function openPicture(info, url) {
  const [width, height] = info.size;
  const isReadable = IN_BROWSERS.includes(info.format) && width * height <= MAX_ORIGINAL;
  const isLarge = () => Math.max(width, height) > 2048 && panes[0]?.scale * Math.max(width, height) * devicePixelRatio > 2100;
  return {
    ...{ info, shape: [width, height, 1], spacing: [1, 1, 1], frames: 1, planes: ['axial'], isPicture: true, title: 'Picture' },
    url: () => (isReadable && isLarge() ? url : `${url}?thumb=2048`),
  };
}

/** Files that are leafed through, one frame after the other: DICOM files and pictures. */
function makeStack(files, more) {
  const infos = new Map();
  return {
    ...{ files, shape: [1, 1, Math.max(1, files.length)], spacing: [1, 1, 1], frames: 1, planes: ['axial'], isStack: true, title: 'Stack' },
    url: (_plane, index) => files[index] && frameUrl(files[index]),
    // What a DICOM file says of itself: its window, and the size of its pixels.
    facts({ href }) {
      if (!infos.has(href)) {
        infos.set(href, null);
        askJson(`${href}?info`).then((info) => (infos.set(href, info), update()), () => {});
      }
      return infos.get(href);
    },
    ...more,
  };
}

/** The frames and DICOM files of a folder, one after the other; `complete` reads its later pages. */
export async function openFolder() {
  const files = [];
  const volumes = [];
  const stack = makeStack(files, {
    volumes,
    async complete() {
      while (page.next) add((page = await askJson(fileUrl + new URL(page.next, fileUrl).search)).entries);
    },
  });
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

/** The frames of a series of DICOM, in the order in which they lie in the patient. */
export async function openSeries() {
  const { files } = await askJson(fileUrl.replace(/nii$/, 'json'));
  const base = new URL(folder, location.href);
  const below = folder.replace(/^(\.\.\/)+/, '/'); // URLs may have another origin than the page
  return makeStack(files.flatMap(({ name, url, frames = [1] }) => frames.map((frame) => ({
    ...{ name: frames.length > 1 ? `${name}, frame ${frame}` : name, frame },
    ...{ href: new URL(`./${url.slice(url.indexOf(below) + below.length)}`, base).href, media_type: DICOM },
  }))), { title: 'Slice' });
}

const DICOM = 'application/dicom';
export const isDicom = (entry) => entry.media_type === DICOM;
export const isShowable = (entry) => entry.type === 'file' && (isDicom(entry) || FRAME.test(entry.name) || VOLUME.test(entry.name));
const frameUrl = (entry) => (isDicom(entry) ? `${entry.href}?slice=axial:${(entry.frame ?? 1) - 1}&depth=16` : `${entry.href}?thumb=2048`);
