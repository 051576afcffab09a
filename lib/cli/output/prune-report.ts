import { resolve } from 'node:path';
import type { StageUse } from '../../engine/stage-clock';
import {
  bytes,
  change,
  counted,
  duration,
  grouped,
  mebibytes,
  percent,
  short,
  tokensInWindows,
} from '../../numbers';
import { routedInAll } from '../../pruning/expert-tokens';
import type { LayerStats, MaskConfidence, PruneResult, SearchReport } from '../../pruning/result';
import { siteName } from '../../report/sections/sites';
import type { TuneReport } from '../../tuning/train';
import { checkedText } from './checked';
import { howToLoad } from './how-to-load';
import { table } from './table';

/** A finished run for people. */
export function pruneReport(result: PruneResult): string {
  const parts = [layerTable(result), summary(result)];
  if (result.ranks.length > 1) parts.push(ranksTable(result.ranks));
  if (result.samples) parts.push(samples(result.samples));
  parts.push(whereabouts(result));
  return parts.join('\n\n');
}

/** One row a solved site: widths, what it cost, how long it took. */
function layerTable({ layerStats: stats, confidence }: PruneResult): string {
  const withAdmm = stats.some(({ admm }) => admm !== null);
  const withInputs = stats.some(({ inputRefit }) => inputRefit !== null);
  const head = ['block', 'site', 'before', 'after', 'energy', 'predicted', 'error', 'seconds'];
  const rows = stats.map((layer) => [
    String(layer.index),
    siteName(layer.site),
    String(layer.groups),
    String(layer.groups - layer.removed),
    layer.energy === null ? '-' : layer.energy.toFixed(3),
    layer.predicted === null ? '-' : short(layer.predicted),
    layer.relativeError === null ? '-' : short(layer.relativeError),
    layer.seconds.toFixed(2),
    ...(withInputs ? [layer.inputRefit === null ? '-' : short(layer.inputRefit.before)] : []),
    ...(withAdmm ? admmCells(layer) : []),
    ...(confidence ? [overlapOf(confidence, layer)] : []),
  ]);
  if (withInputs) head.push('output map only');
  if (withAdmm) head.push('ADMM steps', 'primal', 'dual');
  if (confidence) head.push('halves agree');
  return table(
    [head, ...rows],
    head.map((name) => (name === 'site' ? 'left' : 'right')),
  );
}

/** A row a rank, with a column for each stage that several work on. */
export function ranksTable(ranks: readonly StageUse[][]): string {
  const [first = [], ...others] = ranks;
  const shared = first
    .map(({ stage }) => stage)
    .filter((name) => name !== 'rest' && others.flat().some(({ stage }) => stage === name));
  const sum = (stages: readonly StageUse[], of: 'seconds' | 'waitingSeconds' | 'sent') =>
    stages.reduce((total, stage) => total + stage[of], 0);
  const rows = ranks.map((stages, rank) => [
    String(rank),
    ...shared.map((name) =>
      duration(
        sum(
          stages.filter(({ stage }) => stage === name),
          'seconds',
        ),
      ),
    ),
    duration(sum(stages, 'seconds')),
    duration(sum(stages, 'waitingSeconds')),
    mebibytes(sum(stages, 'sent')),
  ]);
  return table(
    [['rank', ...shared, 'in all', 'of it waiting', 'sent'], ...rows],
    ['rank', ...shared, '', '', ''].map(() => 'right'),
  );
}

function admmCells({ admm }: LayerStats): string[] {
  if (!admm) return ['-', '-', '-'];
  const steps = `${admm.iterations}${admm.converged ? '' : ' (limit)'}`;
  return [steps, short(admm.primal), short(admm.dual)];
}

function overlapOf({ sites }: MaskConfidence, { index, site }: LayerStats): string {
  const found = sites.find((one) => one.index === index && one.site === site);
  return found ? percent(found.overlap) : '-';
}

function summary(result: PruneResult): string {
  const rows = [['', 'before', 'after', '']];
  const { parametersBefore, parametersAfter, bytesBefore, bytesAfter } = result;
  rows.push([
    'parameters',
    grouped(parametersBefore),
    grouped(parametersAfter),
    change(parametersBefore, parametersAfter),
  ]);
  rows.push([
    'weight files',
    bytes(bytesBefore),
    bytes(bytesAfter),
    change(bytesBefore, bytesAfter),
  ]);
  const { perplexityBefore, perplexityAfter } = result;
  if (perplexityBefore !== null && perplexityAfter !== null) {
    const ratio = `×${(perplexityAfter / perplexityBefore).toFixed(3)}`;
    rows.push(['perplexity', perplexityBefore.toFixed(3), perplexityAfter.toFixed(3), ratio]);
  }
  const { method, allocation, scope, search, confidence, tuning, perplexityCalibrated } = result;
  return [
    table(rows, ['left', 'right', 'right', 'right']),
    `${percent(result.sparsity)} of the blocks' linear weights removed ` +
      `(${method}, ${allocation} allocation, scope ${scope})`,
    `calibrated on ${tokensInWindows(result.calibrationTokens, result.window)}`,
    ...routed(result.layerStats),
    ...(search === null ? [] : [searched(search)]),
    ...(confidence === null ? [] : [sure(confidence)]),
    ...(tuning === null ? [] : [tuned(tuning, result.window)]),
    ...(result.measuredOn === null ? [] : [`perplexity measured on ${result.measuredOn}`]),
    ...(perplexityCalibrated === null ? [] : [calibrated(perplexityCalibrated)]),
  ].join('\n');
}

/** Nothing where no experts lose anything. */
function routed(stats: readonly LayerStats[]): string[] {
  const all = routedInAll(stats);
  if (all === null) return [];
  const { experts, least, median, most } = all;
  return [
    `of its tokens an expert was routed at least ${grouped(least)}, at the median ${grouped(median)}, at most ${grouped(most)} (${grouped(experts)} experts)`,
  ];
}

function searched({ rounds, before, after }: SearchReport): string {
  return `searched for ${counted(rounds, 'round')}: KL to dense ${short(before)} → ${short(after)} with all layers pruned at once`;
}

function sure({ overlap, chance }: MaskConfidence): string {
  return `masks of two halves of the survey's tokens share ${percent(overlap)} of what stays (${percent(chance)} by chance): the rest is what more tokens would change`;
}

function tuned({ tokens, mixTokens, before, after }: TuneReport, window: number): string {
  const mix = mixTokens > 0 ? `, ${mixTokens / window} of them of this package's mixed text` : '';
  return `tuned on ${tokensInWindows(tokens, window)}${mix}: KL to dense ${short(before.heldOut)} → ${short(after.heldOut)} on those held out`;
}

function calibrated({ before, after }: NonNullable<PruneResult['perplexityCalibrated']>): string {
  return `on windows that calibrated ×${(after / before).toFixed(3)}`;
}

/** What was not computed anew. */
function provenance({ resumedBlocks, survey, solveInputs }: PruneResult): string[] {
  const lines: string[] = [];
  if (resumedBlocks.length > 0) {
    lines.push(
      `taken from the journal of an earlier run: ${counted(resumedBlocks.length, 'block')}`,
    );
  }
  if (survey === 'file') {
    const why = {
      none: 'the calibration came from a file: the only forward pass was that of the check',
      dense:
        'the survey came from a file; the blocks were solved on a forward pass of the dense model',
      sequential:
        'the survey came from a file; the blocks were solved on inputs of the model pruned so far, ' +
        'in a forward pass that depends on the ratio',
    };
    lines.push(why[solveInputs]);
  }
  return lines;
}

function samples({ prompt, before, after }: NonNullable<PruneResult['samples']>): string {
  const quoted = (text: string) => JSON.stringify(text);
  return table(
    [
      ['prompt', quoted(prompt)],
      ['before', quoted(before)],
      ['after', quoted(after)],
    ],
    ['left', 'left'],
  );
}

function whereabouts(result: PruneResult): string {
  const { verification, seconds, peakRssBytes, dtype } = result;
  return [
    `${resolve(result.output)}  (${dtype}, ${duration(seconds)}, peak memory ${mebibytes(peakRssBytes)})`,
    checkedText(verification),
    ...result.notes.map((note) => `note: ${note}`),
    ...provenance(result),
    '',
    howToLoad(result),
  ].join('\n');
}
