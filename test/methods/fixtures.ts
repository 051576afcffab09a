import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AllocationRule, AllocationScope } from '../../lib/allocation';

/** What test/oracles/baselines.py kept (scripts/oracles/make-baseline-fixtures.py). */
export interface BaselineCase {
  method: string;
  allocation: AllocationRule;
  scope: 'ffn' | 'attention' | 'all';
  sparsity: number;
  blocks: { ffn: number[]; kvHeads: number[] }[];
  removedWeights: number;
  linearWeights: number;
  nllBefore: number;
  nllAfter: number;
}

export interface SiteFixture {
  block: number;
  scope: AllocationScope;
  groupSize: number;
  cost: number;
  weightNormSq: number[];
  weightAbsMean: number[];
  weightShare: number[];
  second: number[];
  mean: number[];
  tokens: number;
  scores: Record<string, number[]>;
}

export interface BaselineFixture {
  model: string;
  /** [windows][window] */
  ids: number[][];
  multiple: number;
  maxShare: number;
  cases: BaselineCase[];
  sites?: SiteFixture[];
}

export function baselineFixture(model: string): BaselineFixture {
  const path = join(__dirname, '..', 'fixtures', 'baselines', `${model}.json`);
  return JSON.parse(readFileSync(path, 'utf8')) as BaselineFixture;
}
