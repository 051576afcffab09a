/** Graphs that read images are calibrated on a folder of them. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import Module from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { relate } from '../../../lib/models/graphs/relate';
import { infoOf } from '../../../lib/models/graphs/run/batches';
import { Runtime } from '../../../lib/models/graphs/run/runtime';
import { samplesIn } from '../../../lib/models/graphs/run/samples-in';
import type { ImageSettings } from '../../../lib/options/images';
import { pruneGraph } from '../../../lib/prune-graph';
import { model, node, tensor, value } from './models';

const BYTES = 2;
const FLOAT16 = 10;
const RED = [255, 0, 0];
const BLUE = [0, 0, 255];
/** Values as they are in the file. */
const PLAIN: ImageSettings = { imageMean: [0], imageStd: [1 / 255] };

type Input = Parameters<typeof value>[1];

/** A graph that gives its input. */
const reading = (input: Input) =>
  model({ input: [value('x', input)], output: [value('y', input)], node: [node('Relu x -> y')] });

function folderOf(t: ExecutionContext, graph: Uint8Array) {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-image-samples-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string) => join(folder, name);
  for (const name of ['images', 'scratch']) mkdirSync(at(name));
  writeFileSync(at('model.onnx'), graph);
  return { at, images: at('images'), path: at('model.onnx'), scratch: at('scratch') };
}
type Folder = ReturnType<typeof folderOf>;

/** An image of these pixels, row by row. */
function draw(path: string, pixels: number[][][], orientation?: number) {
  const [height, width, channels] = [pixels.length, pixels[0]!.length, pixels[0]![0]!.length];
  const raw = { width, height, channels: channels as 1 | 3 | 4 };
  const image = sharp(Buffer.from(pixels.flat(2)), { raw });
  return (orientation ? image.withMetadata({ orientation }) : image).png().toFile(path);
}

/** What the graph reads of the images, sample after sample, and what the samples' tensor is. */
async function samplesOf({ path, images, scratch }: Folder, settings: ImageSettings) {
  using file = OnnxFile.open(path);
  const reader = { model: path, graph: relate(file).graph, runtime: new Runtime(1, scratch) };
  const notes: string[] = [];
  const note = (text: string) => notes.push(text);
  using samples = await samplesIn({ path: images, images: settings, scratch, note }, reader);
  const read = [...samples.read()].map(({ x }) => x!);
  return {
    count: samples.count,
    notes,
    dims: read[0]!.dims,
    values: read.flatMap(({ data }) => [...(data as Float32Array)]),
  };
}

test('pixels as the graph has them: order of axes and channels, means, bytes, grey', async (t) => {
  const pixels = [
    [
      [0, 51, 102],
      [255, 204, 153],
    ],
  ];
  const read = async (
    input: Input,
    settings: ImageSettings,
    { graph = reading(input), image = pixels } = {},
  ) => {
    const folder = folderOf(t, graph);
    await draw(join(folder.images, 'a.png'), image);
    const { dims, values, notes } = await samplesOf(folder, settings);
    t.deepEqual(readdirSync(folder.scratch), []);
    return { dims: [...dims], notes, values: values.map((one) => Math.round(one * 1000) / 1000) };
  };
  const rows = [0, 255, 51, 204, 102, 153];
  const plain = await read(['n', 3, 1, 2], PLAIN);
  t.like(plain, { dims: [1, 3, 1, 2], values: rows });
  const two = [pixels[0]!, pixels[0]!.toReversed()];
  const last = await read(['n', 2, 2, 3], PLAIN, { image: two });
  t.like(last, { dims: [1, 2, 2, 3], values: two.flat(2) });
  const swapped = await read(['n', 3, 1, 2], { ...PLAIN, imageChannels: 'bgr' });
  t.deepEqual(swapped.values, [102, 153, 51, 204, 0, 255]);
  const each = { imageMean: [0.2, 0.4, 0.6], imageStd: [0.5, 0.25, 0.125] };
  t.deepEqual((await read(['n', 3, 1, 2], each)).values, [-0.4, 1.6, -0.8, 1.6, -1.6, 0]);
  const turned = await read(['n', 3, 1, 2], { ...each, imageChannels: 'bgr' });
  t.deepEqual(turned.values, [-1.6, 0, -0.8, 1.6, -0.4, 1.6], 'means go with their colours');
  // (0 - 0.485) / 0.229 and so on.
  t.deepEqual(
    (await read(['n', 3, 1, 2], {})).values,
    [-2.118, 2.249, -1.143, 1.536, -0.027, 0.862],
  );
  const of = (type: number) =>
    model({
      input: [infoOf('x', type, ['n', 3, 1, 2])],
      output: [infoOf('y', type, ['n', 3, 1, 2])],
      node: [node('Identity x -> y')],
    });
  const bytes = await read([], {}, { graph: of(BYTES) });
  t.deepEqual(bytes.values, rows, 'bytes stay what they are');
  t.regex(bytes.notes[0]!, /bytes as they are$/);
  const halves = await read([], { imageMean: [0], imageStd: [1] }, { graph: of(FLOAT16) });
  // Of 16 bits: 0, 1, 0.2, 0.8, 0.4 and 0.6.
  t.deepEqual(halves.values, [0, 0x3c00, 0x3266, 0x3a66, 0x3666, 0x38cd]);
  const grey = await read(['n', 1, 1, 2], PLAIN);
  t.deepEqual(grey.dims, [1, 1, 1, 2]);
  t.true(grey.values[0]! < 60 && grey.values[1]! > 190);
});

test('means and deviations by name, and a line that says what became of the images', async (t) => {
  const folder = folderOf(t, reading(['n', 3, 1, 1]));
  await draw(join(folder.images, 'a.png'), [[[0, 51, 255]]]);
  const read = async (settings: ImageSettings) => {
    const { values, notes } = await samplesOf(folder, settings);
    t.is(notes.length, 1);
    return { values: values.map((one) => Math.round(one * 1000) / 1000), note: notes[0]! };
  };
  const head = 'images: scaled to 1x1, cropped to the middle; RGB as [samples, 3, height, width]; ';
  const usual = await read({});
  const imagenet = await read({ imagePreset: 'imagenet' });
  t.deepEqual(imagenet.values, usual.values);
  const values =
    'values from 0 to 1 with mean 0.485,0.456,0.406 and standard deviation 0.229,0.224,0.225';
  t.is(imagenet.note, head + values);
  t.regex(usual.note, /0\.225; what is not given is ImageNet's: imagePreset has others$/);
  t.deepEqual((await read({ imagePreset: 'unit' })).values, [0, 0.2, 1]);
  t.deepEqual((await read({ imagePreset: 'inception' })).values, [-1, -0.6, 1]);
  // (0 - 0.48145466) / 0.26862954 and so on.
  t.deepEqual((await read({ imagePreset: 'clip' })).values, [-1.792, -0.987, 2.146]);
  const mixed = await read({ imagePreset: 'unit', imageMean: [0.2], imageChannels: 'bgr' });
  t.deepEqual(mixed.values, [0.8, 0, -0.2], 'what is given goes first');
  t.regex(mixed.note, /BGR as .* mean 0\.2 and standard deviation 1$/);
  const config = folder.at('preprocessor_config.json');
  writeFileSync(
    config,
    JSON.stringify({
      size: { shortest_edge: 8 },
      crop_size: 1,
      do_center_crop: true,
      do_rescale: false,
      do_normalize: false,
    }),
  );
  const { note } = await read({});
  t.regex(
    note,
    /scaled to 8x8, cropped to its middle of 1x1; .* from 0 to 255 with mean 0 and standard deviation 1; what is not given is as preprocessor_config.json says$/,
  );
  const { values: named, note: own } = await read({ imagePreset: 'unit', imageFit: 'pad' });
  t.is(Math.max(...named), 1, 'a name means values between 0 and 1, whatever the file says');
  t.regex(own, /scaled to 1x1, whole between black bars; .*standard deviation 1$/);
});

test('a whole image, its middle, or without its proportions', async (t) => {
  const folder = folderOf(t, reading(['n', 3, 2, 2]));
  // Red, blue, blue, red.
  await draw(join(folder.images, 'a.png'), Array(2).fill([RED, BLUE, BLUE, RED]));
  const reds = async (imageFit: ImageSettings['imageFit']) =>
    (await samplesOf(folder, { ...PLAIN, imageFit })).values.slice(0, 4);
  t.deepEqual(await reds('crop'), [0, 0, 0, 0], 'the blue middle');
  const stretched = await reds('stretch');
  t.true(stretched.every((red) => red > 50 && red < 200));
  const padded = await samplesOf(folder, { ...PLAIN, imageFit: 'pad' });
  const sum = (values: number[]) => values.reduce((all, one) => all + one);
  t.true(
    sum(padded.values) < sum((await samplesOf(folder, { ...PLAIN, imageFit: 'stretch' })).values),
  );
});

test('images lie as their metadata says, and what is transparent is black', async (t) => {
  const folder = folderOf(t, reading(['n', 3, 2, 1]));
  // 6: the first row is on the right.
  await draw(join(folder.images, 'a.png'), [[RED, BLUE]], 6);
  t.deepEqual((await samplesOf(folder, PLAIN)).values, [255, 0, 0, 0, 0, 255]);
  const clear = folderOf(t, reading(['n', 3, 1, 1]));
  await draw(join(clear.images, 'a.png'), [[[255, 255, 255, 0]]]);
  t.deepEqual((await samplesOf(clear, PLAIN)).values, [0, 0, 0]);
});

test('preprocessor_config.json beside the graph says how, and options say otherwise', async (t) => {
  const config = (folder: Folder, values: object) =>
    writeFileSync(folder.at('preprocessor_config.json'), JSON.stringify(values));
  const open = folderOf(t, reading(['n', 3, 'height', 'width']));
  await draw(join(open.images, 'a.png'), Array(4).fill([RED, RED, BLUE, BLUE]));
  config(open, {
    size: { height: 4, width: 4 },
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  });
  const { dims, values } = await samplesOf(open, {});
  t.deepEqual([...dims], [1, 3, 4, 4]);
  t.deepEqual(values.slice(0, 4), [1, 1, -1, -1]);
  t.deepEqual([...(await samplesOf(open, { imageSize: '2x3' })).dims], [1, 3, 2, 3]);
  config(open, { size: 4, do_rescale: false, do_normalize: false });
  const bytes = await samplesOf(open, {});
  t.deepEqual([...bytes.dims], [1, 3, 4, 4]);
  t.deepEqual(bytes.values.slice(0, 4), [255, 255, 0, 0]);
  // A square of 4 out of the middle of what is 8 high and wide: of a frame one pixel wide, nothing.
  const crops = folderOf(t, reading(['n', 3, 4, 4]));
  const frame = Array.from({ length: 8 }, (_, row) =>
    Array.from({ length: 8 }, (_, column) =>
      [row, column].some((at) => at % 7 === 0) ? RED : BLUE,
    ),
  );
  await draw(join(crops.images, 'a.png'), frame);
  config(crops, {
    size: { shortest_edge: 8 },
    do_center_crop: true,
    crop_size: 4,
    do_normalize: false,
  });
  t.deepEqual((await samplesOf(crops, {})).values.slice(0, 16), Array(16).fill(0));
  config(crops, { size: 'large' });
  await t.throwsAsync(samplesOf(crops, {}), {
    code: 'ERR_CHECKPOINT',
    message: /preprocessor_config.*size/,
  });
});

test('in the order of their names, folders inside too, and every so-many-th of many', async (t) => {
  const folder = folderOf(t, reading(['n', 3, 1, 1]));
  mkdirSync(join(folder.images, 'cats'));
  for (const [i, name] of ['b.png', 'a.PNG', 'cats/c.png'].entries())
    await draw(join(folder.images, name), [[[i, i, i]]]);
  writeFileSync(join(folder.images, 'labels.txt'), 'not an image');
  const { count, values } = await samplesOf(folder, PLAIN);
  t.is(count, 3);
  t.deepEqual(values.filter((_, i) => i % 3 === 0).map(Math.round), [1, 0, 2]);
  for (let i = 0; i < 509; i += 1)
    await draw(join(folder.images, `d${String(i).padStart(3, '0')}.png`), [[[i % 256, 0, 0]]]);
  const many = await samplesOf(folder, PLAIN);
  t.is(many.count, 256);
  t.deepEqual(
    many.values
      .slice(0, 12)
      .filter((_, i) => i % 3 === 0)
      .map(Math.round),
    [1, 2, 1, 3],
  );
});

test('a folder calibrates and measures a graph', async (t) => {
  const graph = model({
    input: [value('x', ['batch', 3, 4, 4])],
    output: [value('y', ['batch', 5, 4, 4])],
    initializer: [weights('a', [6, 3, 1, 1]), weights('b', [5, 6, 1, 1])],
    node: [node('Conv x a -> p'), node('Relu p -> r'), node('Conv r b -> y')],
  });
  const folder = folderOf(t, graph);
  for (let i = 0; i < 9; i += 1) {
    const pixel = (k: number) => [(37 * k * (i + 1)) % 256, (91 * k + i) % 256, (53 * k * i) % 256];
    const rows = Array.from({ length: 4 }, (_, y) =>
      Array.from({ length: 4 }, (_, x) => pixel(4 * y + x)),
    );
    await draw(join(folder.images, `${i}.png`), rows);
  }
  const { path, images, at } = folder;
  const options = { output: at('small.onnx'), sparsity: 0.3, calibration: images, eval: images };
  const notices: string[] = [];
  // The engine says its device too.
  const onNotice = (text: string) => text.startsWith('images') && notices.push(text);
  const asked = { imageFit: 'stretch' as const, imageMean: [0.5], onNotice };
  const result = await pruneGraph(path, { ...options, ...asked });
  t.deepEqual([result.calibrationSamples, result.evaluation!.samples], [9, 9]);
  t.like(result.settings, { imageFit: 'stretch', imageMean: '0.5', imageSize: null });
  t.true(result.sites[0]!.after < 6);
  t.deepEqual(result.notes, notices);
  t.is(notices.length, 1, 'one line for both folders');
  t.regex(notices[0]!, /^images: scaled to 4x4, stretched .* mean 0\.5 and /);
});

/** Not a constant, so that units differ. */
function weights(name: string, dims: number[]) {
  const made = tensor(name, dims);
  const values = new Float32Array(made.rawData.buffer);
  values.forEach((_, i) => {
    values[i] = Math.cos(7 * i * i);
  });
  return made;
}

test('what is no folder of images for the graph is refused before any work', async (t) => {
  const refused = async (
    graph: Uint8Array,
    code: string,
    message: RegExp,
    settings: ImageSettings = {},
    name = 'a.png',
  ) => {
    const folder = folderOf(t, graph);
    if (name === 'a.png') await draw(join(folder.images, name), [[RED]]);
    else writeFileSync(join(folder.images, name), 'nothing');
    await t.throwsAsync(samplesOf(folder, settings), { code, message });
    t.deepEqual(readdirSync(folder.scratch), []);
  };
  const square: Input = ['n', 3, 2, 2];
  await refused(
    reading(['n', 3, 'h', 'w']),
    'ERR_ARGUMENT',
    /images of any size.* give (--)?image-?[sS]ize/,
  );
  await refused(reading(square), 'ERR_ARGUMENT', /is 3, and the graph reads images of 2x2/, {
    imageSize: '3',
  });
  await refused(reading(['n', 3]), 'ERR_ARGUMENT', /does not read one image/);
  await refused(reading(['n', 4, 2, 2]), 'ERR_ARGUMENT', /reads 4 channels/);
  await refused(reading(square), 'ERR_NOT_FOUND', /holds no image/, {}, 'a.txt');
  await refused(reading(square), 'ERR_TEXT', /broken\.png is no image/, {}, 'broken.png');
  const folder = folderOf(t, reading(square));
  const asked = { output: folder.at('o.onnx'), sparsity: 0.3, calibration: folder.at('x.npz') };
  await t.throwsAsync(pruneGraph(folder.path, { ...asked, imageFit: 'pad' }), {
    code: 'ERR_ARGUMENT',
    message: /image-?[fF]it has no effect: no folder of images is read/,
  });
});

test.serial('without sharp one error says how to have it', async (t) => {
  const loader = Module as unknown as {
    _resolveFilename: (name: string, ...rest: unknown[]) => string;
  };
  const resolve = loader._resolveFilename;
  const folder = folderOf(t, reading(['n', 3, 1, 1]));
  await draw(join(folder.images, 'a.png'), [[RED]]);
  t.teardown(() => {
    loader._resolveFilename = resolve;
  });
  loader._resolveFilename = (name, ...rest) => {
    if (name !== 'sharp') return resolve.call(loader, name, ...rest);
    throw Object.assign(new Error(`no ${name}`), { code: 'MODULE_NOT_FOUND' });
  };
  await t.throwsAsync(samplesOf(folder, PLAIN), {
    code: 'ERR_NOT_FOUND',
    message: /images are read by sharp.*npm install sharp@/,
  });
});
