import type { BenchDocument } from '../../documents/bench';
import { graphRows } from '../../documents/graph-rows';
import { bytes, grouped, percent, short } from '../../numbers';
import { table } from './table';

export function graphsReport({ graphs }: BenchDocument): string {
  const { model, evaluationSamples, losses } = graphs!;
  const head = ['', 'asked', 'parameters', 'file', 'loss', 'same first choice', 'multiply-adds'];
  const rows = graphRows(graphs!).map(({ label, sparsity, faster, ...one }) => [
    ...[label, percent(sparsity), grouped(one.parameters), bytes(one.fileBytes), short(one.loss)],
    one.agreement === null ? '-' : percent(one.agreement),
    grouped(one.multiplyAdds),
    ...faster.map((ratio) => `×${ratio.toFixed(2)}`),
  ]);
  return [
    `${model.name} on ${grouped(evaluationSamples)} samples; ${losses.map(({ output, kind }) => `loss of ${output}: ${kind}`).join(', ')}`,
    table(
      [[...head, 'faster, 1 thread', '2 threads'], ...rows],
      ['left', ...head.map(() => 'right' as const), 'right'],
    ),
  ].join('\n\n');
}
