/** Samples of a graph out of what a path leads to: tensors, a text, a folder of images. */
import { statSync } from 'node:fs';
import { pathOf, type Text } from '../../../calibration/text';
import { StruPruneError } from '../../../errors';
import { IMAGES, type ImageSettings } from '../../../options/images';
import { flagOf } from '../../../wording';
import type { GraphProto } from '../onnx/onnx_pb';
import { samplesOfImages } from './image-samples';
import type { Reader } from './reader';
import { Samples } from './samples';
import { type SampledText, samplesOfText, tokenizerFor } from './text-samples';

export interface Sampled extends SampledText {
  images: ImageSettings;
  /** Folder for what is made of images. */
  scratch: string;
  /** Hears in one line what is done to them. */
  note: (text: string) => void;
}

/** @throws StruPruneError as Samples.open, samplesOfText and samplesOfImages */
export function samplesIn(
  { images, scratch, note, ...text }: Sampled,
  reader: Reader,
  signal?: AbortSignal,
): Promise<Samples> {
  const { model, graph, runtime } = reader;
  if (isFolder(text.path))
    return samplesOfImages(text.path, images, reader, { scratch, note, signal });
  const tokenizer = tokenizerFor(text.path, model, graph);
  if (tokenizer !== null) return samplesOfText(text, tokenizer, reader, signal);
  return Samples.open(text.path, graph, runtime, signal);
}

type Asked = {
  calibration?: Text;
  eval?: Text;
  calibrationTokens?: number;
  window?: number;
} & {
  [Key in keyof ImageSettings]?: ImageSettings[Key];
};

/** Refuses what says nothing of samples, and options of a text or of images where there are none. @throws StruPruneError ERR_ARGUMENT */
export function requireSamples(asked: Asked, model: string, graph: GraphProto): void {
  const calibration = pathOf(asked.calibration) ?? '';
  const readsText = !isFolder(calibration) && tokenizerFor(calibration, model, graph) !== null;
  if (!readsText && calibration === '') {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `nothing says what ${model} reads`,
      'give --calibration: samples of its inputs as .safetensors, .npz or a folder of images',
    );
  }
  const paths = [calibration, pathOf(asked.eval) ?? ''];
  if (!readsText) refuse(asked, ['calibrationTokens', 'window'], `${calibration} has samples`);
  if (!paths.some(isFolder)) refuse(asked, Object.keys(IMAGES), 'no folder of images is read');
}

function refuse(asked: Asked, keys: readonly string[], reason: string): void {
  const idle = keys.filter((key) => asked[key as keyof Asked] !== undefined).map(flagOf);
  if (idle.length === 0) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `${idle.join(' and ')} ${idle.length > 1 ? 'have' : 'has'} no effect: ${reason}`,
    `leave ${idle.length > 1 ? 'them' : 'it'} out`,
  );
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
