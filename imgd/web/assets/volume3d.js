// The 3D page: NiiVue, which the operator named a folder of, opens the whole volume.

const MAX_FILE = 1e9; // bytes that a browser reads in one piece
const MAX_TEXTURE = 2 ** 31; // bytes of a texture in 3D, 4 a voxel
const main = document.getElementById('main');
const canvas = main.querySelector('canvas');
const message = main.querySelector('.message');
const url = new URL(main.dataset.file, location.href).href;

/** Why NiiVue cannot show the volume, "" if it may. */
async function limit() {
  const factsUrl = 'series' in main.dataset ? url.replace(/nii$/, 'json') : `${url}?info`;
  const [head, facts] = await Promise.all([fetch(url, { method: 'HEAD' }), fetch(factsUrl)]);
  if ([head.status, facts.status].includes(202)) { // the files of the series are still being read
    message.textContent = (await facts.json()).detail ?? message.textContent;
    await new Promise((done) => setTimeout(done, 1000));
    return limit();
  }
  if (head.status === 409) return (await facts.json()).why;
  if (!head.ok) return `The server answered ${head.status}.`;
  const size = Number(head.headers.get('Content-Length'));
  if (size > MAX_FILE) return `The file has ${(size / 1e9).toFixed(1)} GB, and a browser reads 1 GB at most in one piece. Its slices can be seen without 3D.`;
  if (!facts.ok) return (await facts.json()).detail;
  const { shape } = await facts.json();
  const bytes = 4 * (shape ?? []).reduce((product, count) => product * count, 1);
  if (bytes > MAX_TEXTURE) return 'The volume has too many voxels for a texture of the graphics card, which holds 2 GB at most. Its slices can be seen without 3D.';
  return '';
}

async function start() {
  const problem = await limit();
  if (problem) throw new Error(problem);
  const { Niivue } = globalThis.niivue ?? {};
  if (!Niivue) throw new Error('NiiVue could not be loaded.');
  const viewer = new Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: true, isRadiologicalConvention: true, sagittalNoseLeft: true, multiplanarLayout: 2, dragAndDropEnabled: false, loadingText: '' });
  await viewer.attachToCanvas(canvas);
  const name = decodeURIComponent(url.split('/').at(-1));
  await viewer.loadVolumes([{ url, name }]);
  viewer.setSliceType(viewer.sliceTypeMultiplanar);
  viewer.opts.multiplanarShowRender = 1; // always
  viewer.drawScene();
  message.hidden = true;
  main.dataset.state = 'ready';
}

start().catch((error) => {
  canvas.hidden = true;
  message.textContent = error.message;
  main.dataset.state = 'failed';
});
