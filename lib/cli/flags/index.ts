/** The flags of every command: the options of the call behind it, and what only the command line has. */
import { GRAPHS_OPTIONS } from '../../bench/graphs/options';
import { KERNELS_OPTIONS } from '../../bench/kernels/options';
import { LATENCY_OPTIONS } from '../../bench/latency/options';
import { MASKS_OPTIONS } from '../../bench/masks/options';
import { MEMORY_OPTIONS } from '../../bench/memory/options';
import { PEERS_OPTIONS } from '../../bench/peers/options';
import { QUALITY_OPTIONS } from '../../bench/quality/options';
import { SCALE_OPTIONS } from '../../bench/scale/options';
import { SPEED_OPTIONS } from '../../bench/speed/options';
import { OPTIONS } from '../../options';
import { EVALUATE } from '../../options/evaluate';
import { EXPORT } from '../../options/export';
import { ANSWER, GENERATE } from '../../options/generate';
import { MACHINE } from '../../options/machine';
import type { Options } from '../../options/option';
import { TASKS } from '../../options/tasks';
import { type Flag, flagsOf } from './flag';

const json = (group: string): Flag => ({ flag: '--json', help: 'JSON alone on stdout', group });

const BENCH_JSON: Flag = {
  flag: '--json',
  help: 'the document on stdout too, and nothing else there',
  group: 'Output',
};

/** `scratch` stands last, under the machine's. */
const { scratch, ...most } = OPTIONS;
const pruneOptions: Options = { ...most, ...MACHINE, scratch };

/** Spelled-out opposites, and what only the command line has. */
const PRUNE_EXTRAS: readonly Flag[] = [
  { flag: '--no-samples', help: 'leave the samples out', group: 'Output' },
  {
    flag: '--report [file]',
    help: 'also write an HTML report; without a name OUT/report.html, or OUT.report.html beside a .gguf or .onnx file',
    group: 'Output',
  },
  {
    flag: '--speed [folder]',
    help: 'also measure how fast it became, in llama.cpp and here; with the folder where node-llama-cpp lies',
    group: 'Output',
  },
  json('Output'),
  { flag: '--keep-bias', help: 'the same as --bias keep', group: 'Refit' },
];

/** The same, and nothing has to be given. */
const optional = (options: Options): Options =>
  Object.fromEntries(
    Object.entries(options).map(([key, { required, alternative, ...option }]) => [key, option]),
  );

const bench = ({ scratch, ...options }: Options, machine: Options) =>
  flagsOf({ ...options, ...machine, ...(scratch && { scratch }) }, [BENCH_JSON]);

/** Of calls that run on one process. */
const { ranks, network, ...machine } = MACHINE;
const { threads, memory } = machine;

export const FLAGS = {
  prune: flagsOf(pruneOptions, PRUNE_EXTRAS),
  /** It takes what prune takes. */
  plan: flagsOf(optional(pruneOptions), PRUNE_EXTRAS),
  eval: flagsOf({ ...optional({ ...EVALUATE, ...TASKS }), ...machine }, [json('Evaluation')]),
  generate: flagsOf({ ...GENERATE, ...machine }, [json('Generation')]),
  chat: flagsOf({ ...ANSWER, ...machine }),
  export: flagsOf({ ...EXPORT, ...machine }, [json('Output')]),
  /** Whose rows are settled. */
  bench: flagsOf({ output: QUALITY_OPTIONS.output, force: QUALITY_OPTIONS.force }, [BENCH_JSON]),
  'bench quality': bench(QUALITY_OPTIONS, machine),
  'bench masks': bench(MASKS_OPTIONS, machine),
  'bench memory': bench(MEMORY_OPTIONS, { threads }),
  'bench kernels': bench(KERNELS_OPTIONS, machine),
  'bench graphs': bench(GRAPHS_OPTIONS, { threads, memory }),
  'bench speed': bench(SPEED_OPTIONS, { threads }),
  'bench latency': bench(LATENCY_OPTIONS, { threads }),
  'bench scale': bench(SCALE_OPTIONS, { threads, memory }),
  'bench peers': bench(PEERS_OPTIONS, { threads }),
  'bench report': flagsOf({}, [
    {
      flag: '-o, --output <file>',
      help: 'the HTML file, instead of report.html in the first folder; an earlier one is replaced',
      group: 'Output',
    },
  ]),
};
