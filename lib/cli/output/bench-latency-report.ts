import type { BenchDocument } from '../../documents/bench';
import { latencyRows } from '../../documents/latency-rows';
import { counted } from '../../numbers';
import { table } from './table';

export function latencyReport({ latency }: BenchDocument): string {
  const { model, runtime, dtype, threads, promptTokens, generatedTokens } = latency!;
  const cell = (ms: number | null, faster: number | null) =>
    ms === null ? ['-', '-'] : [ms.toFixed(3), `×${faster!.toFixed(2)}`];
  const rows = latencyRows(latency!).map((row) => [
    row.units === null ? 'as it is' : `${row.units} of ${row.of} (${row.site})`,
    ...cell(row.prompt, row.promptFaster),
    ...cell(row.generation, row.generationFaster),
  ]);
  return [
    `${model.name}, ${dtype}, in ${runtime}: ${counted(threads, 'thread')}, ${promptTokens} prompt and ${generatedTokens} generated tokens`,
    table(
      [['units in every block', 'prompt, ms a token', '', 'generation, ms a token', ''], ...rows],
      ['left', 'right', 'right', 'right', 'right'],
    ),
  ].join('\n\n');
}
