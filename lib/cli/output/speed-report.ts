import type { BenchPace, BenchSpeed } from '../../documents/bench';
import { bytes, counted, grouped } from '../../numbers';
import { table } from './table';

/** How fast a dense and a pruned model are. */
export function speedReport({ runs, dense, pruned, notes, ...speed }: BenchSpeed): string {
  const { threads, promptTokens, generatedTokens, repeats } = speed;
  const models = [dense, pruned].map(({ label, parameters, fileBytes }) => [
    label,
    grouped(parameters),
    bytes(fileBytes),
  ]);
  const head = ['tokens/s', '', 'dense', 'pruned', 'pruned ÷ dense', 'removed work allows', ''];
  const rows = runs.flatMap(({ runtime, prompt, generation }) => [
    [runtime, 'prompt', ...cells(prompt)],
    ...(generation ? [['', 'generation', ...cells(generation)]] : []),
  ]);
  return [
    `${counted(threads, 'thread')}, ${promptTokens} prompt and ${generatedTokens} generated tokens: medians of ${counted(repeats, 'round')} (least to most)`,
    table([['', 'parameters', 'file'], ...models], ['left', 'right', 'right']),
    table([head, ...rows], ['left', 'left', 'right', 'right', 'right', 'right', 'left']),
    ...(notes.length > 0 ? [notes.map((note) => `note: ${note}`).join('\n')] : []),
  ].join('\n\n');
}

function cells({ dense, pruned, ratio, allowed, noise }: BenchPace): string[] {
  const of = ({ median, least, most }: BenchPace['dense'], digits: number) =>
    `${median.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
  return [
    of(dense, 1),
    of(pruned, 1),
    `×${of(ratio, 2)}`,
    `×${allowed.toFixed(2)}`,
    noise ? 'noise' : '',
  ];
}
