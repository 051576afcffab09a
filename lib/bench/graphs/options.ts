import type { z } from 'zod';
import { ALLOCATION_RULES } from '../../allocation';
import { settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { CALIBRATION } from '../../options/calibration';
import { IMAGES } from '../../options/images';
import { choice, count, files, path, shares } from '../../options/kinds';
import { COLUMN_SCOPES, METHOD } from '../../options/method';
import { declare, like, schemaOf } from '../../options/option';
import type { OnProgress } from '../../progress';
import { keepOption, outputOption, scratchOption } from '../options';

export const GRAPHS_OPTIONS = {
  ...declare(
    { group: 'Measurement' },
    {
      sparsities: {
        takes: shares,
        help: "shares of the maps' weights that go, by commas",
        default: [0.25, 0.5, 0.65],
        changes: 'run',
      },
      rivals: {
        takes: files,
        help: 'graphs of the same inputs and outputs that others made of the model: measured like ours',
        default: [],
        changes: 'run',
      },
      repeats: {
        takes: count,
        help: 'rounds in onnxruntime, a batch of every graph in turn; medians count',
        default: 10,
        changes: 'run',
      },
    },
  ),
  ...declare(
    { group: 'Samples' },
    {
      calibration: like(CALIBRATION.calibration, {
        takes: path,
        help: "samples of the graph's inputs that calibrate, as safetensors, .npz or a folder of images, or a text",
        required: true,
      }),
      eval: like(CALIBRATION.eval, {
        takes: path,
        help: 'samples that calibrate nothing, or a text: losses are those of them',
        required: true,
      }),
    },
  ),
  ...IMAGES,
  ...declare(
    { group: 'Method' },
    {
      scope: like(METHOD.scope, {
        takes: choice(COLUMN_SCOPES),
        help: 'prune heads (attention), all other units (ffn), or both',
        default: 'all',
      }),
      allocation: like(METHOD.allocation, {
        takes: choice(ALLOCATION_RULES),
        help: 'how the sparsity is spread over the sites',
        default: 'threshold',
      }),
      multiple: like(METHOD.multiple, {
        help: 'widths but for heads are multiples of n',
        otherwise: '8; less for narrow layers',
      }),
    },
  ),
  ...outputOption('graphs.json, graphs.csv and graphs.html'),
  ...keepOption('pruned and sliced graph'),
  ...scratchOption('pruned graphs'),
};

const schema = schemaOf(GRAPHS_OPTIONS);

export type GraphsOptions = z.input<typeof schema> &
  Pick<EngineOptions, 'threads' | 'memory' | 'signal' | 'onNotice'> & { onProgress?: OnProgress };
export type GraphsSettings = z.output<typeof schema>;

export function graphsSettings(options: GraphsOptions): GraphsSettings {
  return settingsFrom(schema, options);
}
