import { type PeersOptions, type PeersSettings, peersSettings } from '../../bench/peers/options';
import { ANY_TEXT, CALIBRATION_FLAGS } from './bench-calibration';
import type { FlagTable } from './flag';
import { MACHINE_FLAGS } from './machine';
import { count, countOrNone, shareBelowOne } from './values';

const data = 'Text';
const group = 'Measurement';

/** A flag for every option of benchPeers(). */
export const BENCH_PEERS_FLAGS: FlagTable<keyof Omit<PeersOptions, 'signal' | 'onProgress'>> = {
  sparsity: {
    flag: '--sparsity <share>',
    help: "share of the blocks' linear weights to remove, out of FFN channels",
    group,
    parse: shareBelowOne,
  },
  command: {
    flag: '--command <line...>',
    help: "programs to compare with; each gets a job's path as its last argument",
    group,
    fallback: 'the torch reference of this package',
  },
  python: {
    flag: '--python <program>',
    help: 'of the torch reference: a Python with torch and transformers',
    group,
  },
  seed: { flag: '--seed <n>', help: 'handed to every program', group, parse: countOrNone },
  ...CALIBRATION_FLAGS,
  window: {
    flag: '--window <tokens>',
    help: 'tokens of a window',
    group: data,
    parse: count,
    fallback: "1024, or the model's positions where it has fewer",
  },
  eval: { flag: '--eval <file>', help: 'text for the perplexity of both results', group: data },
  evalTokens: {
    flag: '--eval-tokens <n>',
    help: 'use its first n tokens',
    group: data,
    parse: count,
  },
  output: { flag: '-o, --output <folder>', help: 'for peers.json', group: 'Output' },
  threads: MACHINE_FLAGS.threads,
  scratch: {
    flag: '--scratch <folder>',
    help: 'for tokens, hidden states and pruned models',
    group: 'Machine',
    fallback: "the system's temporary folder",
  },
};

export const BENCH_PEERS_DEFAULTS: PeersSettings = peersSettings({ calibration: ANY_TEXT });
