import { resolve } from 'node:path';
import type { GraphResult } from '../../models/graphs/run/result';
import {
  bytes,
  change,
  counted,
  duration,
  grouped,
  mebibytes,
  percent,
  short,
} from '../../numbers';
import type { SearchReport } from '../../pruning/result';
import { checkedText } from './checked';
import { table } from './table';

/** Reasons why weights stay that are printed. */
const MOST_REASONS = 8;

/** A finished run over a graph for people. */
export function graphText(result: GraphResult): string {
  return [sites(result), amounts(result), held(result), whereabouts(result)]
    .filter((part) => part !== null)
    .join('\n\n');
}

function sites(result: GraphResult): string {
  const head = ['site', 'before', 'after', 'predicted', 'error', 'seconds'];
  const rows = result.sites.map(({ name, before, after, predicted, relativeError, seconds }) => [
    name,
    grouped(before),
    grouped(after),
    predicted === null ? '-' : short(predicted),
    relativeError === null ? '-' : short(relativeError),
    seconds.toFixed(2),
  ]);
  return table(
    [head, ...rows],
    head.map((name) => (name === 'site' ? 'left' : 'right')),
  );
}

function amounts(result: GraphResult): string {
  const row = (name: string, before: number, after: number, write: (value: number) => string) => [
    name,
    write(before),
    write(after),
    change(before, after),
  ];
  const { allocation, evaluation, losses, search } = result;
  return [
    table(
      [
        ['', 'before', 'after', ''],
        row('weights of maps', result.weightsBefore, result.weightsAfter, grouped),
        row('parameters', result.parametersBefore, result.parametersAfter, grouped),
        row('multiply-adds', result.multiplyAddsBefore, result.multiplyAddsAfter, grouped),
        row('file', result.bytesBefore, result.bytesAfter, bytes),
      ],
      ['left', 'right', 'right', 'right'],
    ),
    `${percent(result.sparsity)} of the maps' weights removed (${allocation} allocation)`,
    `calibrated on ${counted(result.calibrationSamples, 'sample')}, with a loss of ${short(result.verification.actual)} on them`,
    ...(search ? [searched(search)] : []),
    ...(evaluation ? [evaluated(evaluation)] : []),
    ...losses.map(({ output, kind }) => `loss of ${output}: ${kind}, to the dense graph`),
  ].join('\n');
}

function evaluated({ samples, loss, agreement }: NonNullable<GraphResult['evaluation']>): string {
  const same = agreement === null ? '' : `, the same first choice in ${percent(agreement)}`;
  return `loss on ${counted(samples, 'sample')} to evaluate on: ${short(loss)}${same}`;
}

function searched({ rounds, before, after }: SearchReport): string {
  return `searched for ${counted(rounds, 'round')}: loss ${short(before)} → ${short(after)} with all sites cut`;
}

/** What no choice of widths removes, and why. */
function held({ held: all }: GraphResult): string | null {
  if (all.length === 0) return null;
  const shown = all.slice(0, MOST_REASONS).map(({ reason, share }) => [percent(share), reason]);
  const more = all.length - shown.length;
  return [
    'weights that stay, and why:',
    table(shown, ['right', 'left']),
    ...(more > 0 ? [`and ${counted(more, 'reason')} more`] : []),
  ].join('\n');
}

function whereabouts({
  output,
  seconds,
  peakRssBytes,
  verification,
  notes,
  resumedSites,
  passes,
}: GraphResult): string {
  return [
    `${resolve(output)}  (${duration(seconds)}, peak memory ${mebibytes(peakRssBytes)})`,
    checkedText(verification),
    ...notes.map((note) => `note: ${note}`),
    `the graph ran as often as ${passes.toFixed(1)} times over all samples`,
    ...(resumedSites > 0
      ? [`taken from the journal of an earlier run: ${counted(resumedSites, 'site')}`]
      : []),
  ].join('\n');
}
