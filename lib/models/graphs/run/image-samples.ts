/** Samples of a graph that reads images, made of a folder of them by sharp, an optional peer. */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ContainerTensor } from '../../../checkpoint/container';
import { StruPruneError } from '../../../errors';
import { type Fit, type ImageSettings, PRESETS } from '../../../options/images';
import { flagOf, worded } from '../../../wording';
import { dimsStated } from '../constants';
import type { Dim } from '../dims';
import { floatBytes, isFloat } from '../onnx/floats';
import { elementBytes, UINT8 } from '../onnx/tensor';
import { elementTypeOf } from './batches';
import { KINDS } from './elements';
import { type Pixels, PREPROCESSOR, pixelsBeside } from './image-pixels';
import { peer } from './peer';
import type { Reader } from './reader';
import { inputsOf, Samples } from './samples';
import { ScratchFiles } from './scratch-files';

const IMAGE = /\.(jpe?g|png|webp|tiff?|gif|avif)$/i;
/** Of a folder with more of them every so-many-th is taken: each gives many rows. */
const MOST = 256;

/** What is used of sharp. */
type Sharp = (path: string) => Image;
interface Image {
  autoOrient(): Image;
  flatten(options: object): Image;
  toColourspace(space: string): Image;
  resize(options: { width: number; height: number; fit: string; background?: string }): Image;
  extract(area: { left: number; top: number; width: number; height: number }): Image;
  raw(): Image;
  toBuffer(): Promise<Buffer>;
}

export interface ImageWork {
  scratch: string;
  note: (text: string) => void;
  signal?: AbortSignal;
}

/** How the graph has an image. */
interface Shape {
  height: number;
  width: number;
  channels: 1 | 3;
  channelsLast: boolean;
  /** TensorProto.DataType: bytes or floats. */
  dataType: number;
}

/**
 * An image a sample, in the order of their paths, kept in a file of `scratch` that has no name. `note` hears what is done to them.
 * @throws StruPruneError ERR_NOT_FOUND without sharp or images; ERR_ARGUMENT where the graph reads something else, ERR_TEXT for a
 *   file that is no image
 */
export async function samplesOfImages(
  folder: string,
  settings: ImageSettings,
  { model, graph, runtime }: Reader,
  { scratch, note, signal }: ImageWork,
): Promise<Samples> {
  const paths = imagesIn(folder);
  const beside = pixelsBeside(dirname(model));
  const inputs = inputsOf(graph);
  const [input] = inputs;
  const dims = input && inputs.length === 1 ? dimsStated(input) : undefined;
  const dataType = input ? elementTypeOf(input) : 0;
  if (!input || dims?.length !== 4 || !(isFloat(dataType) || dataType === UINT8)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `${folder} is a folder of images, and ${model} does not read one image of floats or bytes alone`,
      'give samples of its inputs as .safetensors or .npz',
    );
  }
  const size = { asked: settings.imageSize, usual: beside.size };
  const shape = { ...shapeOf(dims, size), dataType };
  const { imagePreset, imageMean, imageStd, imageChannels } = settings;
  const preset = imagePreset && PRESETS[imagePreset];
  const asked: Pixels = {
    fit: settings.imageFit ?? beside.fit,
    covers: settings.imageFit === undefined ? beside.covers : 1,
    scale: preset || imageMean || imageStd ? 1 / 255 : beside.scale,
    mean: imageMean ?? preset?.mean ?? beside.mean,
    std: imageStd ?? preset?.std ?? beside.std,
  };
  const sharp = peer<Sharp>('sharp', 'images are read');
  const each = shape.height * shape.width * shape.channels * elementBytes(dataType)!;
  const tensor: ContainerTensor = {
    name: input.name,
    dtype: KINDS[dataType]!.stored,
    shape: [paths.length, ...sizesOf(shape)],
    offset: 0,
    bytes: paths.length * each,
  };
  const isAsked = preset || (imageMean && imageStd);
  const origin = isAsked ? 'options' : beside.isStated ? 'file' : 'default';
  note(noteOn(shape, asked, { order: imageChannels, origin }));
  await using files = await ScratchFiles.open(scratch);
  for (const path of paths) {
    signal?.throwIfAborted();
    const pixels = await pixelsOf(sharp, path, shape, asked);
    await files.append('images', valuesOf(pixels, shape, asked, imageChannels));
  }
  return Samples.of(folder, [tensor], files.source('images'), graph, runtime);
}

/** Paths of images, in folders inside too. @throws StruPruneError ERR_NOT_FOUND */
function imagesIn(folder: string): string[] {
  const found = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => IMAGE.test(name))
    .sort();
  if (found.length === 0) {
    throw new StruPruneError(
      'ERR_NOT_FOUND',
      `${folder} holds no image (.jpg, .png, .webp, .tif, .gif or .avif)`,
      'check the path, or give samples as .safetensors or .npz',
    );
  }
  const count = Math.min(MOST, found.length);
  return Array.from({ length: count }, (_, i) =>
    join(folder, found[Math.floor((i * found.length) / count)]!),
  );
}

/** @throws StruPruneError ERR_ARGUMENT where nothing says a size, or it is not the graph's */
function shapeOf(
  dims: readonly Dim[],
  { asked, usual }: { asked?: string; usual?: string },
): Omit<Shape, 'dataType'> {
  const isColour = (dim: Dim | undefined) => dim === 1 || dim === 3;
  const channelsLast = isColour(dims[3]) && !isColour(dims[1]);
  const [channels, height, width] = channelsLast
    ? [dims[3], dims[1], dims[2]]
    : [dims[1], dims[2], dims[3]];
  if (typeof channels === 'number' && !isColour(channels)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `the graph reads ${channels} channels, and images have 1 or 3`,
      'give samples of its inputs as .safetensors or .npz',
    );
  }
  const sides = [height, width].map((stated, i) => {
    const [given, fallback] = [asked, usual].map((size) => {
      const parts = size?.split('x') ?? [];
      return parts.length > 0 ? Number(parts[i] ?? parts[0]) : undefined;
    });
    if (typeof stated === 'number') {
      if (given === undefined || given === stated) return stated;
      throw new StruPruneError(
        'ERR_ARGUMENT',
        `${flagOf('imageSize')} is ${asked}, and the graph reads images of ${height}x${width}`,
        'leave it out',
      );
    }
    if (given ?? fallback) return given ?? fallback!;
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'the graph reads images of any size, and nothing says which these are to have',
      `give ${flagOf('imageSize')}`,
    );
  });
  return { height: sides[0]!, width: sides[1]!, channels: channels === 1 ? 1 : 3, channelsLast };
}

function sizesOf({ height, width, channels, channelsLast }: Shape): number[] {
  return channelsLast ? [height, width, channels] : [channels, height, width];
}

const FIT: Record<Fit, string> = { crop: 'cover', pad: 'contain', stretch: 'fill' };

/** Rows of pixels of the size that the graph reads, channels inside. @throws StruPruneError ERR_TEXT */
async function pixelsOf(
  sharp: Sharp,
  path: string,
  { height, width, channels }: Shape,
  { fit, covers }: Pixels,
): Promise<Buffer> {
  const [tall, wide] = [height, width].map((side) => Math.round(side * covers)) as [number, number];
  try {
    return await sharp(path)
      .autoOrient()
      .flatten({ background: 'black' })
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .resize({ width: wide, height: tall, fit: FIT[fit], background: 'black' })
      .extract({
        left: Math.floor((wide - width) / 2),
        top: Math.floor((tall - height) / 2),
        ...{ width, height },
      })
      .raw()
      .toBuffer();
  } catch (cause) {
    throw new StruPruneError(
      'ERR_TEXT',
      `${path} is no image that can be read: ${(cause as Error).message}`,
      'take it out of the folder',
      { cause },
    );
  }
}

const FITTED: Record<Fit, string> = {
  crop: 'cropped to the middle',
  pad: 'whole between black bars',
  stretch: 'stretched to both sides',
};

/** Where mean and standard deviation come from. */
const ORIGINS = {
  options: '',
  file: `; what is not given is as ${PREPROCESSOR} says`,
  default: "; what is not given is ImageNet's: --image-preset has others",
} as const;

/** One line: what becomes of every image. */
function noteOn(
  { height, width, channels, channelsLast, dataType }: Shape,
  { fit, covers, scale, mean, std }: Pixels,
  { order = 'rgb', origin }: { order?: 'rgb' | 'bgr'; origin: keyof typeof ORIGINS },
): string {
  const scaled = [height, width].map((side) => Math.round(side * covers)).join('x');
  const cut =
    covers > 1
      ? `${scaled}, cropped to its middle of ${height}x${width}`
      : `${scaled}, ${FITTED[fit]}`;
  const colours = channels === 1 ? 'grey' : order.toUpperCase();
  const axes = channelsLast
    ? `[samples, height, width, ${channels}]`
    : `[samples, ${channels}, height, width]`;
  const [less, by] = [mean, std].map((list) => list.slice(0, channels).join());
  const most = Number((255 * scale).toPrecision(4));
  const values =
    dataType === UINT8
      ? 'bytes as they are'
      : `values from 0 to ${most} with mean ${less} and standard deviation ${by}${ORIGINS[origin]}`;
  return worded(`images: scaled to ${cut}; ${colours} as ${axes}; ${values}`);
}

/** The bytes of what the graph reads. */
function valuesOf(
  pixels: Buffer,
  { height, width, channels, channelsLast, dataType }: Shape,
  { scale, mean, std }: Pixels,
  order: ImageSettings['imageChannels'],
): Uint8Array {
  const places = height * width;
  const isBytes = dataType === UINT8;
  const values = isBytes ? new Uint8Array(pixels.length) : new Float32Array(pixels.length);
  for (let channel = 0; channel < channels; channel += 1) {
    const from = order === 'bgr' ? channels - 1 - channel : channel;
    // Means are of red, green and blue, wherever those lie.
    const [less, by] = [mean, std].map((list) => list[Math.min(from, list.length - 1)]!);
    for (let place = 0; place < places; place += 1) {
      const pixel = pixels[place * channels + from]!;
      const at = channelsLast ? place * channels + channel : channel * places + place;
      values[at] = isBytes ? pixel : (pixel * scale - less!) / by!;
    }
  }
  return values instanceof Float32Array ? floatBytes(dataType, values) : values;
}
