/** What is written, and where. */
import { tmpdir } from 'node:os';
import { type ExportFormat, formatFor } from '../checkpoint/output-path';
import { choice, folder, on, path, size } from './kinds';
import { declare } from './option';

export const FORMATS = ['hf', 'gguf'] as const;
export const DTYPES = ['f32', 'f16', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'] as const;

/** As other tools spell them. */
const DTYPE_SPELLINGS = {
  ...({ float32: 'f32', fp32: 'f32' } as const),
  ...({ float16: 'f16', fp16: 'f16', half: 'f16' } as const),
  bfloat16: 'bf16',
} as const;

export const OUTPUT = declare(
  { group: 'Output' },
  {
    output: {
      takes: path,
      short: '-o',
      help: 'folder (hf) or .gguf file to write; of a graph: .onnx file, or folder with what goes with it',
      required: true,
      changes: 'places',
      also: ['graph'],
    },
    format: {
      takes: choice(FORMATS),
      help: 'what to write',
      otherwise: 'gguf where the output ends in .gguf, else hf',
      derive: ({ output }: { output: string }): ExportFormat => formatFor(output, undefined),
      changes: 'survey',
      also: ['survey'],
    },
    dtype: {
      takes: choice(DTYPES, DTYPE_SPELLINGS),
      help: 'weights of the output; from q8_0 on for gguf alone; embeddings and head have 8 bits at least; K types such as Q4_K_M: llama-quantize makes them of an f16 .gguf',
      otherwise:
        "a .gguf file of a quantised source: what is refitted in the type of the source's o and down or one of as many bits, the rest as it is; else the source's own, or f16",
      changes: 'run', // an identity has what it comes to
      also: ['survey'],
    },
    force: {
      takes: on,
      help: 'replace an output or a journal that is there',
      default: false,
      changes: 'nothing',
      also: ['survey', 'graph'],
    },
    resume: {
      takes: on,
      help: 'go on with what a killed or failed run of the same command had finished',
      default: false,
      changes: 'nothing',
      also: ['graph'],
    },
    maxShardBytes: {
      takes: size,
      help: "split a folder's safetensors past this size",
      otherwise: '5 GB',
      changes: 'places',
      read: [
        ({ format }: { format: ExportFormat }) =>
          format === 'gguf' ? 'with a .gguf output' : null,
      ],
    },
    samples: {
      takes: on,
      help: '40 greedy tokens of the model before and after',
      default: false,
      otherwise: 'on, off with --json',
      changes: 'measured',
    },
  },
);

export const SCRATCH = declare(
  { group: 'Machine' },
  {
    scratch: {
      takes: folder,
      help: 'where hidden states are paged to',
      default: tmpdir(),
      otherwise: "the system's temporary folder",
      changes: 'places',
      also: ['survey', 'graph'],
    },
  },
);
