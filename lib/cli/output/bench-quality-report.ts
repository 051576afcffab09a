import type { BenchDocument, BenchFailure, BenchQuality, BenchRow } from '../../documents/bench';
import { bytes, duration, grouped, mebibytes, percent } from '../../numbers';
import { sharedInWords } from '../../wording';
import { type Align, table } from './table';

/** Rows by sparsity, best perplexity on the first text first. */
export function qualityReport({ quality, seconds }: BenchDocument): string {
  const section = quality!;
  const parts = [
    `${section.model.name}: ${grouped(section.model.parameters)} parameters, ${sharedInWords(section)}, ` +
      `${grouped(section.calibration.tokens)} calibration tokens, ${duration(seconds)}`,
    rowsTable(section),
  ];
  if (section.failures.length) parts.push(section.failures.map(failureLine).join('\n'));
  return parts.join('\n\n');
}

function rowsTable(section: BenchQuality): string {
  const { texts, dense, rows } = section;
  const head = ['removed', 'method'];
  const align: Align[] = ['right', 'left'];
  for (const { name } of texts) {
    head.push(name, 'KL', 'top-1');
    align.push('right', 'right', 'right');
  }
  head.push('parameters', 'file', 'survey', 'solve', 'peak');
  align.push('right', 'right', 'right', 'right', 'right');
  const denseRow = ['', 'dense'];
  for (const { perplexity } of dense.perplexities) denseRow.push(perplexity.toFixed(3), '', '');
  denseRow.push(grouped(section.model.parameters), bytes(section.model.fileBytes));
  const body = [...section.sparsities]
    .sort((a, b) => a - b)
    .flatMap((sparsity) =>
      rows
        .filter((row) => row.sparsity === sparsity)
        .sort((a, b) => a.texts[0]!.perplexity - b.texts[0]!.perplexity)
        .map(rowCells),
    );
  return table([head, denseRow, ...body], align);
}

function rowCells(row: BenchRow): string[] {
  const { survey, solve } = row.seconds;
  return [
    percent(row.achieved),
    row.label,
    ...row.texts.flatMap(({ perplexity, klToDense, top1Agreement }) => [
      perplexity.toFixed(3),
      klToDense.toFixed(4),
      percent(top1Agreement),
    ]),
    grouped(row.parameters),
    bytes(row.fileBytes),
    survey ? duration(survey) : '',
    duration(solve),
    row.peakRssBytes === null ? '' : mebibytes(row.peakRssBytes),
  ];
}

function failureLine({ method, sparsity, code, message }: BenchFailure): string {
  return `failed: ${method} at ${percent(sparsity)}: ${message} [${code}]`;
}
