/** What a model wants of its pixels, by the preprocessor_config.json that transformers writes beside it. */
import { join } from 'node:path';
import { z } from 'zod';
import { StruPruneError } from '../../../errors';
import { parseJsonObject } from '../../../json-object';
import { fieldsOf, flag, positive, size } from '../../../model/fields';
import { type Fit, PRESETS } from '../../../options/images';
import { readRegular } from '../../../regular-file';

export interface Pixels {
  fit: Fit;
  /** The image covers so many times the size before its middle is taken. */
  covers: number;
  /** Of bytes, before the mean is subtracted. */
  scale: number;
  mean: readonly number[];
  std: readonly number[];
}

/** Where nothing says how. */
const USUAL: Pixels = { fit: 'crop', covers: 1, scale: 1 / 255, ...PRESETS.imagenet };

/** What says it, beside a graph. */
export const PREPROCESSOR = 'preprocessor_config.json';
const numbers = z.array(z.number()).min(1).max(3);
const sides = z.union([
  size.transform((both) => ({ height: both, width: both })),
  fieldsOf({ height: size, width: size }),
  fieldsOf({ shortest_edge: size }),
]);
const SCHEMA = fieldsOf({
  size: sides.nullish(),
  crop_size: sides.nullish(),
  do_resize: flag.nullish(),
  do_center_crop: flag.nullish(),
  do_rescale: flag.nullish(),
  do_normalize: flag.nullish(),
  rescale_factor: positive.nullish(),
  image_mean: numbers.nullish(),
  image_std: numbers.nullish(),
});
type Config = z.output<typeof SCHEMA>;

/**
 * Of the file in the folder or the one above, as transformers.js lays them out; ImageNet's where there is none, and `isStated` is false.
 * @throws StruPruneError ERR_CHECKPOINT
 */
export function pixelsBeside(folder: string): Pixels & { size?: string; isStated: boolean } {
  for (const path of [join(folder, PREPROCESSOR), join(folder, '..', PREPROCESSOR)]) {
    const refusal = { code: 'ERR_CHECKPOINT', mend: 'fetch it again, or take it away' } as const;
    const bytes = readRegular(path, refusal);
    if (bytes === null) continue;
    const read = SCHEMA.safeParse(parseJsonObject(bytes, path, refusal));
    if (read.success) return { ...pixelsOf(read.data), isStated: true };
    const [issue] = read.error.issues;
    const what = `${path}: ${issue!.path.join('.')} ${issue!.message}`;
    throw new StruPruneError(refusal.code, what, refusal.mend);
  }
  return { ...USUAL, isStated: false };
}

function pixelsOf(config: Config): Pixels & { size?: string } {
  const { size: resized, crop_size: cropped, do_center_crop: crops } = config;
  const target = crops && cropped && 'height' in cropped ? cropped : resized;
  const shortest = resized && 'shortest_edge' in resized ? resized.shortest_edge : undefined;
  const edge = target && ('height' in target ? target : square(target.shortest_edge));
  return {
    fit: shortest === undefined && !crops && resized ? 'stretch' : 'crop',
    covers:
      edge && crops && shortest ? Math.max(1, shortest / Math.min(edge.height, edge.width)) : 1,
    scale: config.do_rescale === false ? 1 : (config.rescale_factor ?? 1 / 255),
    mean: config.do_normalize === false ? [0] : (config.image_mean ?? USUAL.mean),
    std: config.do_normalize === false ? [1] : (config.image_std ?? USUAL.std),
    ...(edge && { size: `${edge.height}x${edge.width}` }),
  };
}

function square(edge: number): { height: number; width: number } {
  return { height: edge, width: edge };
}
