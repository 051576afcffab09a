import type { Command } from 'commander';
import type { MemoryOptions } from '../../../bench/memory/options';
import { BENCH_MEMORY_DEFAULTS, BENCH_MEMORY_FLAGS } from '../../flags/bench-memory';
import { BENCH_EXTRAS } from '../../flags/bench-quality';
import { addFlags, optionsFrom } from '../../flags/flag';
import { memoryReport } from '../../output/bench-memory-report';
import { runWithProgress } from '../../terminal/run';
import { deliver } from './deliver';

export function addMemory(bench: Command): void {
  const command = bench
    .command('memory')
    .description(
      "Memory of whole prunes under budgets, seen from outside: models of OPT's shapes, or a given one.",
    )
    .argument('[model]', 'Hugging Face folder or .gguf file')
    .action(async (model: string | undefined, parsed: Record<string, unknown>) => {
      const { benchMemory } = await import('../../../bench/memory/run');
      const options = optionsFrom<MemoryOptions>(BENCH_MEMORY_FLAGS, parsed);
      const folder = options.output ?? BENCH_MEMORY_DEFAULTS.output;
      const json = parsed.json === true;
      await deliver({ folder, name: 'memory', json, report: memoryReport }, () =>
        runWithProgress(({ signal, onProgress }) =>
          benchMemory(model ?? null, { ...options, signal, onProgress }),
        ),
      );
    });
  addFlags(command, BENCH_MEMORY_FLAGS, BENCH_MEMORY_DEFAULTS, BENCH_EXTRAS);
}
