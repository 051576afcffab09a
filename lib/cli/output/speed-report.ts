import type { BenchDocument } from '../../bench/schema';
import { bytes, counted, grouped } from '../../numbers';
import { table } from './table';

export function speedReport({ speed }: BenchDocument): string {
  const { runtime, threads, promptTokens, generatedTokens, dense, pruned, ratios } = speed!;
  const head = ['', 'parameters', 'file', 'prompt tokens/s', 'generated tokens/s'];
  const rows = [dense, pruned].map((entry) => [
    entry.label,
    grouped(entry.parameters),
    bytes(entry.fileBytes),
    entry.promptPerSecond.toFixed(1),
    entry.generationPerSecond.toFixed(1),
  ]);
  const factor = (value: number) => `×${value.toFixed(3)}`;
  const { prompt, promptAllowed, generation, generationAllowed } = ratios;
  rows.push(
    ['pruned ÷ dense', '', '', factor(prompt), factor(generation)],
    ['removed work allows', '', '', factor(promptAllowed), factor(generationAllowed)],
  );
  return [
    `${runtime}, ${counted(threads, 'thread')}, ${promptTokens} prompt and ${generatedTokens} generated tokens, medians`,
    table([head, ...rows], ['left', 'right', 'right', 'right', 'right']),
  ].join('\n\n');
}
