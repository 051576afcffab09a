/** What is written. */
import { isQuantised } from '../checkpoint/container';
import {
  type ExportDtype,
  type ExportRequest,
  requireDtype,
  roundingFor,
  storedAs,
} from '../checkpoint/export';
import { AS_FOLDER, type ExportFormat } from '../checkpoint/output-path';
import { StruPruneError } from '../errors';
import type { RefitRecipe } from '../methods';
import { type Architecture, FEW_STEPS, type ModelSource, type Stored } from '../model/architecture';
import { familyNamed } from '../model/families';
import type { RunSettings, Settings } from '../options';
import { cutsChannels, reaches } from '../options/method';
import { dtypeFor, rowsIn, takenOverFrom, typeNotes } from './dtypes';

export interface OutputSpec {
  format: ExportFormat;
  /** Of what is refitted, and of all else that is not taken over. */
  dtype: ExportDtype;
  takenOver: ExportRequest['takenOver'];
  stored: Stored;
  /** Most of a folder's safetensors file, bytes. */
  maxShardBytes: number | undefined;
  /** Biases that the method adds to output maps in scope. */
  adds: { attention: boolean; ffn: boolean };
  /** Of a GGUF output, where a target in bytes asks for it; else 0. */
  tokenizerBytes: number;
  /** What a user may not expect of it. */
  notes: string[];
}

const PACKED =
  'experts stay in MXFP4: gate and up keep their bytes, output maps are rounded to it; --dtype bf16 writes all in 16 bits';

const NORMS_ALONE =
  'norms and biases alone are tuned: factors of columns would change every code of a type of 4 or 5 bits';

/** @throws StruPruneError ERR_ARGUMENT */
export function outputSpec(
  source: ModelSource,
  settings: RunSettings,
  refit: RefitRecipe,
  tokenizerBytes: number,
): OutputSpec {
  const { format, scope, maxShardBytes } = settings;
  const dtype = dtypeFor(source, settings);
  requireDtype(format, dtype);
  requireMultiple(settings, dtype);
  const { architecture } = source;
  const rows = rowsIn(architecture, scope, refit);
  const takenOver = takenOverFrom(source, settings, rows);
  const stored = storedAs({ architecture, format, dtype, takenOver });
  const tunesNorms = settings.tuneTokens > 0 && FEW_STEPS.includes(dtype);
  const adds = refit.output === 'mean-bias' || refit.bias === 'add';
  return {
    ...{ format, dtype, takenOver, stored, maxShardBytes, tokenizerBytes },
    adds: { attention: adds && reaches(scope, 'attention'), ffn: adds && reaches(scope, 'ffn') },
    notes: [
      ...(takenOver?.packs ? [PACKED] : []),
      ...typeNotes({ source, dtype, takenOver, stored }),
      ...unloadedNotes(source),
      ...(tunesNorms ? [NORMS_ALONE] : []),
    ],
  };
}

function unloadedNotes({ unloaded = [] }: ModelSource): string[] {
  if (unloaded.length === 0) return [];
  const such = `${unloaded.length} tensors as ${unloaded[0]}`;
  return [
    `${such} are left out: they guess tokens further ahead, and belong to the unpruned model`,
  ];
}

/** Channels of a multiple of 8 alone may leave rows that quantised types cannot hold, once widths differ. */
function requireMultiple({ scope, multiple }: Settings, dtype: ExportDtype): void {
  const { ffn } = roundingFor(dtype);
  if (!isQuantised(dtype) || !cutsChannels(scope)) return;
  if (multiple === undefined || multiple % ffn === 0) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `${dtype.toLowerCase()} holds rows in blocks of ${ffn}, and widths may be any multiple of ${multiple}`,
    `choose a --multiple of ${ffn}, or leave it out`,
  );
}

/** Where llama.cpp's graph looks back without limit, a GGUF file is on a longer text not the model that was pruned. */
export function requireNoSliding(
  { format }: Pick<Settings, 'format'>,
  { family, slidingWindow }: Architecture,
  window: number,
): void {
  if (format !== 'gguf' || slidingWindow === 0 || window <= slidingWindow) return;
  if (familyNamed(family).gguf?.slides) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `a GGUF file cannot hold this model's sliding window of ${slidingWindow} tokens, and texts are cut by ${window}`,
    `choose --window ${slidingWindow} or less, or ${AS_FOLDER}`,
  );
}
