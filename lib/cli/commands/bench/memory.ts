import type { Command } from 'commander';
import type { MemoryOptions } from '../../../bench/memory/options';
import { FLAGS } from '../../flags';
import { memoryReport } from '../../output/bench-memory-report';
import { addModelBench } from './model-bench';

export function addMemory(bench: Command): void {
  addModelBench<MemoryOptions, string | undefined>(bench, {
    name: 'memory',
    description:
      "Memory of whole prunes under budgets, seen from outside: models of OPT's shapes, or a given one.",
    argument: '[model]',
    flags: FLAGS['bench memory'],
    report: memoryReport,
    load: async () => {
      const { benchMemory } = await import('../../../bench/memory/run');
      return (model, options) => benchMemory(model ?? null, options);
    },
  });
}
