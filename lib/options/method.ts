/** The method, and what it may remove. */
import { z } from 'zod';
import { ALLOCATION_RULES, type AllocationRule, readsCurves } from '../allocation';
import type { AllocationFunction } from '../allocation/own';
import { METHOD_NAMES, methodOf } from '../methods';
import { expertAt, type Site } from '../model/sublayers';
import { Own } from '../own';
import { ofGraph } from './images';
import { choice, choiceOr, count, countOrNone, on, share } from './kinds';
import { declare } from './option';

/** Of sites that lose columns of their output map. */
export const COLUMN_SCOPES = ['ffn', 'attention', 'all'] as const;
export const SCOPES = [...COLUMN_SCOPES, 'experts', 'expert-channels', 'moe'] as const;

export type Allocation = AllocationRule | Own<AllocationFunction>;
export type Scope = (typeof SCOPES)[number];

/** Whether FFNs are sites, by themselves or inside experts. */
export function cutsChannels(scope: Scope): boolean {
  return reaches(scope, 'ffn') || cutsInsideExperts(scope);
}

/** Whether something of experts goes, whole ones or channels inside. */
export function cutsExperts(scope: Scope | undefined): boolean {
  return scope === 'experts' || cutsInsideExperts(scope);
}

/** Whether channels inside experts do. */
export function cutsInsideExperts(scope: Scope | undefined): boolean {
  return scope === 'expert-channels' || scope === 'moe';
}

/** Whether what belongs to the site may go. */
export function reaches(scope: Scope, site: Site): boolean {
  if (expertAt(site) !== null) return cutsInsideExperts(scope);
  if (scope === 'moe') return site === 'experts';
  return scope === site || (scope === 'all' && (site === 'ffn' || site === 'attention'));
}

/** A rule of the caller's own. Without a name for the journal a run cannot be resumed. */
const ownAllocation = z
  .strictObject({
    name: z.string().min(1).optional(),
    allocate: z.custom<AllocationFunction>(
      (value) => typeof value === 'function',
      'not a function',
    ),
  })
  .transform(({ name, allocate }) => new Own(name, allocate));

export const METHOD = declare(
  { group: 'Method' },
  {
    method: {
      takes: choice(METHOD_NAMES),
      help: 'how groups are chosen',
      default: 'struprune',
      changes: 'survey',
      also: ['survey'],
    },
    allocation: {
      takes: choiceOr(ALLOCATION_RULES, ownAllocation),
      help: 'how the sparsity is spread over the layers',
      otherwise:
        "threshold for struprune, else the method's own; uniform where experts lose something",
      derive: ({ method, scope }: { method: string; scope?: Scope }): Allocation =>
        cutsExperts(scope) ? 'uniform' : methodOf(method).allocations[0],
      changes: 'run',
      also: ['allocate', 'graph'],
    },
    scope: {
      takes: choice(SCOPES),
      help: 'prune FFN channels, KV heads with their query heads, or both; or whole experts, channels inside each of them, or moe: both; of a graph heads (attention), all other units (ffn), or both',
      otherwise:
        'all; ffn with --allocation uniform; of a mixture of experts moe with struprune, expert-channels with magnitude-l2, wanda-sp and --target-macs; experts with --method reap; of a graph all',
      // docs/decisions/0014. A share that all layers give up alike is too fine for a few KV heads.
      derive: ({ method, allocation }: { method: string; allocation: Allocation }): Scope =>
        methodOf(method).scope ?? (readsCurves(allocation) ? 'all' : 'ffn'),
      changes: 'survey',
      also: ['survey', 'graph'],
    },
    depth: {
      takes: on,
      help: 'let whole sublayers go too, attention or FFN of a block, where trials say that it costs less',
      otherwise: 'off',
      changes: 'run',
    },
    lowRank: {
      takes: on,
      help: 'let maps of a graph become two of lower rank too, where trials say that it costs less than widths',
      otherwise: 'off',
      changes: 'run',
      also: ['graph'],
      read: [ofGraph],
    },
    structuredConvolutions: {
      takes: on,
      help: 'let kernels of a graph become smaller ones behind a sum-pooling too, where trials say that it costs less than widths',
      otherwise: 'off',
      changes: 'run',
      also: ['graph'],
      read: [ofGraph],
    },
    apart: {
      takes: on,
      help: 'allocate FFN and attention each by itself',
      default: false,
      changes: 'run',
      also: ['allocate'],
    },
    maxLayerSparsity: {
      takes: share,
      help: 'most of one layer that may go',
      default: 0.9,
      changes: 'survey',
      also: ['survey', 'graph'],
    },
    multiple: {
      takes: count,
      help: 'widths of FFNs, and of graphs but for heads, are multiples of n; where that is no multiple of 32, f16 replaces a quantised default of --dtype',
      otherwise: '8, or 32 from q8_0 on; less for narrow layers of graphs',
      changes: 'survey',
      also: ['survey', 'graph'],
    },
    seed: {
      takes: countOrNone,
      help: 'same seed, same bytes; drawn Fisher labels and masks depend on it',
      default: 0,
      changes: 'survey',
      also: ['survey'],
    },
  },
);
