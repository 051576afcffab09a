import { z } from 'zod';
import { path } from '../../check';
import type { BenchDocument } from '../../documents/bench';
import { embeddedTexts } from '../../embedded';
import { checkedOptions, settingsFrom } from '../../engine/call';
import type { EngineOptions } from '../../engine/engine-options';
import { CALIBRATION } from '../../options/calibration';
import { names, on, shares } from '../../options/kinds';
import { METHOD } from '../../options/method';
import { declare, like, schemaOf } from '../../options/option';
import { OUTPUT } from '../../options/output';
import { REFIT } from '../../options/refit';
import type { OnProgress } from '../../progress';
import { METHOD_WORDS, type MethodOptions, type OwnMethod } from '../methods';
import {
  calibrationOptions,
  keepOption,
  OWN_TEXT,
  outputOption,
  SURVEY_OPTIONS,
  scratchOption,
} from '../options';

const ownMethod: z.ZodType<OwnMethod, OwnMethod> = z.strictObject({
  // Of a folder too.
  id: z.string().regex(/^[a-z\d][\w.-]*$/i),
  label: z.string().min(1),
  about: z.string().optional(),
  options: z.custom<MethodOptions>((value) => typeof value === 'object' && value !== null),
});

/** Every option but engine and callbacks. */
export const QUALITY_OPTIONS = {
  ...declare(
    { group: 'Rows' },
    {
      sparsities: {
        takes: shares,
        help: "shares of the blocks' linear weights to remove, by commas",
        default: [0.1, 0.2, 0.3, 0.4, 0.5],
        changes: 'run',
      },
      /** Names, and in the library methods of the caller's own too. */
      methods: {
        takes: { ...names, schema: z.array(z.union([z.string().min(1), ownMethod])).min(1) },
        help: `by commas: ${METHOD_WORDS.join(', ')}`,
        default: ['all'],
        changes: 'run',
      },
      /** See QUICK. */
      quick: {
        takes: on,
        help: 'smaller defaults that answer within a few minutes: fewer tokens, one sparsity, five methods',
        changes: 'run',
      },
    },
  ),
  ...calibrationOptions(65536),
  ...SURVEY_OPTIONS,
  ...declare(
    { group: 'Text' },
    {
      window: CALIBRATION.window,
      eval: {
        takes: { schema: z.array(path).min(1), value: '<file...>' },
        help: 'texts to measure on',
        default: () => [embeddedTexts().evaluation],
        otherwise: OWN_TEXT,
        changes: 'run',
      },
      evalTokens: like(CALIBRATION.evalTokens, {
        help: 'use the first n tokens of each',
        default: 16384,
      }),
      evalWindow: CALIBRATION.evalWindow,
    },
  ),
  ...declare(
    { group: 'Model' },
    {
      scope: like(METHOD.scope, {
        otherwise: "each method's own: ffn where all sites give the same share, else all",
      }),
      ffnSolver: like(REFIT.ffnSolver, {
        help: 'what of an FFN is refitted by methods that leave it open: its output map, or gate and up too',
        otherwise: 'as prune has it',
      }),
      format: like(OUTPUT.format, { help: 'what is written', default: 'hf' }),
      dtype: like(OUTPUT.dtype, {
        help: 'weights of the written files; from q8_0 on for gguf alone',
        otherwise: 'as prune has it for what is refitted; here every matrix has it',
      }),
      multiple: like(METHOD.multiple, {
        help: 'FFN widths are multiples of n',
        otherwise: '8, or 32 from q8_0 on',
      }),
      seed: { ...METHOD.seed, help: 'of drawn Fisher labels' },
    },
  ),
  ...outputOption(
    'quality.json, quality.csv, and rows.jsonl and surveys, by which an interrupted run goes on',
  ),
  ...keepOption('pruned model'),
  ...declare(
    { group: 'Output' },
    {
      force: {
        takes: on,
        help: 'throw away results of other settings',
        default: false,
        changes: 'nothing',
      },
    },
  ),
  ...scratchOption('hidden states, and pruned models while they are measured'),
};

const schema = schemaOf(QUALITY_OPTIONS);

export type QualityOptions = z.input<typeof schema> &
  EngineOptions & {
    onProgress?: OnProgress;
    /** Hears the document of what there is, where the run ends early. */
    onUnfinished?: (document: BenchDocument) => void | Promise<void>;
  };
export type QualitySettings = Omit<z.output<typeof schema>, 'quick'>;

/** `--quick`: defaults that answer within a few minutes on two cores. */
export const QUICK = {
  calibrationTokens: 8192,
  surveyTokens: 4096,
  evalTokens: 4096,
  sparsities: [0.2],
  methods: ['magnitude-l2', 'wanda-sp', 'flap', 'struprune-uniform', 'struprune-threshold'],
} as const;

/** Checks the options and fills the defaults in. @throws StruPruneError ERR_ARGUMENT naming the option */
export function qualitySettings(options: QualityOptions): QualitySettings {
  const { onUnfinished, ...rest } = checkedOptions(options);
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const usual = rest.quick ? QUICK : {};
  const { quick, ...settings } = settingsFrom(schema, { ...usual, ...Object.fromEntries(given) });
  return settings;
}
