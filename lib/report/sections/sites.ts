import type { BenchLayer } from '../../bench/schema';
import { linearScale, type Scale } from '../charts/ticks';

export const SITES: readonly BenchLayer['site'][] = ['ffn', 'attention'];
export const SITE_NAMES: Readonly<Record<BenchLayer['site'], string>> = {
  ffn: 'FFN channels',
  attention: 'KV heads',
};

/** An axis over the blocks, with marks on whole blocks alone. */
export function blockScale(blocks: number): Scale {
  const last = Math.max(1, blocks - 1);
  const { ticks } = linearScale(0, last, 10);
  return {
    min: 0,
    max: last,
    ticks: ticks.filter((tick) => Number.isInteger(tick) && tick <= last),
  };
}
