/**
 * Which setting a benchmark speaks for, by rules that a reader can check in its table:
 *
 * 1. The first text ranks. At each asked sparsity the method with the lowest perplexity on it is best.
 * 2. Ablations take part in no choice; one that beats its base is a warning, and so is one within the limit where more
 *    is removed than by the choice.
 * 3. The choice is the largest removed share at which some method stays within LIMIT of the dense perplexity on
 *    *every* text; of several methods whose shares are the same, the best by rule 1. Where none does, the best at the
 *    smallest sparsity is named with what it costs, and said not to be within the limit.
 * 4. Every sparsity and text where the best row is not one of StruPrune's is a warning.
 * 5. Shares within SAME_SHARE of each other are the same: groups are whole, so that methods asked for one share remove
 *    different ones. No row beats one that removed more than it.
 */
import type { BenchMethod, BenchQuality, BenchRow } from '../../documents/bench';

/** Perplexity over the dense one that a choice may cost. */
export const LIMIT = 1.1;
/** Rows whose perplexities differ by less are called level. */
export const LEVEL = 0.01;
/** Removed shares that differ by less of the larger one are called the same. */
const SAME_SHARE = 0.05;

export interface Standing {
  sparsity: number;
  best: BenchRow;
  /** Perplexity of the best ÷ the dense one, on the first text. */
  ratio: number;
  /** The largest such ratio over all texts. */
  worstRatio: number;
  /** The next row of another method, and how much higher its perplexity is; null where there is none. */
  next: { row: BenchRow; above: number } | null;
}

export interface Choice {
  row: BenchRow;
  withinLimit: boolean;
}

export interface Beaten {
  sparsity: number;
  text: string;
  winner: BenchRow;
  /** StruPrune's best there; null: StruPrune has no row. */
  ours: BenchRow | null;
  /** Perplexity of ours ÷ the winner's. */
  ratio: number | null;
}

export interface BetterAblation {
  row: BenchRow;
  base: BenchRow;
  /** Perplexity of the ablation ÷ the base's, on the text where it gains most; below 1. */
  ratio: number;
  /** Whether it loses on no text. */
  everywhere: boolean;
}

/** Perplexity on a text; Infinity where it is missing or not finite, so that such a row never wins. */
export function perplexityOf(row: BenchRow, text: string): number {
  const value = row.texts.find((one) => one.text === text)?.perplexity;
  return value !== undefined && Number.isFinite(value) ? value : Number.POSITIVE_INFINITY;
}

export function densePerplexity(quality: BenchQuality, text: string): number {
  return quality.dense.perplexities.find((one) => one.text === text)?.perplexity ?? Number.NaN;
}

export function methodOfRow(quality: BenchQuality, row: BenchRow): BenchMethod | undefined {
  return quality.methods.find(({ id }) => id === row.method);
}

/** The text that ranks: the first one. */
export function firstText(quality: BenchQuality): string {
  return quality.texts[0]?.name ?? '';
}

/** Largest perplexity ÷ dense perplexity over the texts. */
export function worstRatio(quality: BenchQuality, row: BenchRow): number {
  return Math.max(
    ...quality.texts.map(({ name }) => perplexityOf(row, name) / densePerplexity(quality, name)),
  );
}

/** Rows of one asked sparsity that may be chosen, the best first; equal ones in the order of the methods. */
export function ranked(quality: BenchQuality, sparsity: number, text: string): BenchRow[] {
  const rows = quality.rows
    .filter((row) => row.sparsity === sparsity && !isAblation(quality, row))
    .filter((row) => Number.isFinite(perplexityOf(row, text)));
  return byPerplexity(rows, text);
}

/** One entry a sparsity that has rows, ascending. */
export function standings(quality: BenchQuality): Standing[] {
  const text = firstText(quality);
  return ascending(quality.sparsities).flatMap((sparsity) => {
    const [best, next] = ranked(quality, sparsity, text);
    if (!best) return [];
    return {
      sparsity,
      best,
      ratio: perplexityOf(best, text) / densePerplexity(quality, text),
      worstRatio: worstRatio(quality, best),
      next: next
        ? { row: next, above: perplexityOf(next, text) / perplexityOf(best, text) - 1 }
        : null,
    };
  });
}

/** Rule 3; null where nothing was measured. */
export function choose(quality: BenchQuality): Choice | null {
  const text = firstText(quality);
  const within = quality.rows.filter(
    (row) => !isAblation(quality, row) && worstRatio(quality, row) <= LIMIT,
  );
  const most = Math.max(...within.map(({ achieved }) => achieved));
  const [row] = byPerplexity(
    within.filter(({ achieved }) => reaches(achieved, most)),
    text,
  );
  if (row) return { row, withinLimit: true };
  const [mildest] = standings(quality);
  return mildest ? { row: mildest.best, withinLimit: false } : null;
}

/** Rule 2: the ablation that stays within the limit with most removed, more than by the choice; null where none does. */
export function furtherAblation(quality: BenchQuality, { row, withinLimit }: Choice) {
  const within = quality.rows
    .filter((one) => isAblation(quality, one) && worstRatio(quality, one) <= LIMIT)
    .filter((one) => !withinLimit || !reaches(row.achieved, one.achieved))
    .sort((a, b) => b.achieved - a.achieved);
  return within[0] ?? null;
}

/** Rule 4; a draw is no defeat. */
export function beaten(quality: BenchQuality): Beaten[] {
  return ascending(quality.sparsities).flatMap((sparsity) =>
    quality.texts.flatMap(({ name: text }): Beaten[] => {
      const rows = ranked(quality, sparsity, text);
      const ours = rows.find((row) => methodOfRow(quality, row)?.kind === 'struprune') ?? null;
      const winner = rows.find((row) => !ours || reaches(row.achieved, ours.achieved));
      if (!winner) return [];
      if (!ours) return [{ sparsity, text, winner, ours, ratio: null }];
      const ratio = perplexityOf(ours, text) / perplexityOf(winner, text);
      return ratio > 1 ? [{ sparsity, text, winner, ours, ratio }] : [];
    }),
  );
}

/** Rule 2: ablations that do better on some text than what they were taken from, the largest gain first. */
export function betterAblations(quality: BenchQuality): BetterAblation[] {
  return quality.rows
    .filter((row) => isAblation(quality, row))
    .flatMap((row) => {
      const base = baseOf(quality, row);
      if (!base || !reaches(row.achieved, base.achieved)) return [];
      const ratios = quality.texts.map(
        ({ name }) => perplexityOf(row, name) / perplexityOf(base, name),
      );
      const ratio = Math.min(...ratios);
      const everywhere = ratios.every((one) => one <= 1);
      return ratio < 1 - LEVEL ? [{ row, base, ratio, everywhere }] : [];
    })
    .sort((a, b) => a.ratio - b.ratio);
}

/** Rule 5: asked sparsities at which the methods removed shares that are not the same. */
export function unevenShares(quality: BenchQuality) {
  const text = firstText(quality);
  return ascending(quality.sparsities).flatMap((sparsity) => {
    const shares = ranked(quality, sparsity, text).map(({ achieved }) => achieved);
    const [least, most] = [Math.min(...shares), Math.max(...shares)];
    return shares.length === 0 || reaches(least, most) ? [] : [{ sparsity, least, most }];
  });
}

/** Whether a removed share is the same as another, or larger. */
function reaches(share: number, other: number): boolean {
  return share >= (1 - SAME_SHARE) * other;
}

function byPerplexity(rows: readonly BenchRow[], text: string): BenchRow[] {
  return [...rows].sort((a, b) => perplexityOf(a, text) - perplexityOf(b, text));
}

/** The row that an ablation or another allocation is compared with, at the same sparsity. */
export function baseOf(quality: BenchQuality, row: BenchRow): BenchRow | undefined {
  const base = methodOfRow(quality, row)?.base;
  if (!base) return undefined;
  return quality.rows.find((one) => one.method === base && one.sparsity === row.sparsity);
}

function isAblation(quality: BenchQuality, row: BenchRow): boolean {
  return methodOfRow(quality, row)?.kind === 'ablation';
}

function ascending(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}
