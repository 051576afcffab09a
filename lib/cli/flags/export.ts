import type { ExportOptions } from '../../export-model';
import type { Flag, FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import { PRUNE_FLAGS } from './prune';

/** A flag for every option of exportModel(). */
export const EXPORT_FLAGS: FlagTable<
  keyof Omit<ExportOptions, 'engine' | 'signal' | 'onProgress' | 'onNotice'>
> = {
  output: PRUNE_FLAGS.output,
  format: PRUNE_FLAGS.format,
  dtype: {
    ...PRUNE_FLAGS.dtype,
    fallback: "a .gguf file of a quantised source: as it is; else the source's own, or f16",
  },
  force: { ...PRUNE_FLAGS.force, help: 'replace an output that is there' },
  maxShardBytes: PRUNE_FLAGS.maxShardBytes,
  ...MACHINE_FLAGS,
};

export const EXPORT_EXTRAS: readonly Flag[] = [
  { flag: '--json', help: 'JSON alone on stdout', group: PRUNE_FLAGS.output.group },
];
