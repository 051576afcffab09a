import type { BenchLayer } from '../../documents/bench';
import { linearScale, type Scale } from '../charts/ticks';

type Site = BenchLayer['site'];

const NAMES: Readonly<Record<Site, string>> = { ffn: 'FFN channels', attention: 'KV heads' };

/** For people. */
export function siteName(site: Site): string {
  return NAMES[site] ?? site;
}

/** Those that have such names, and others that there are. */
export function sitesWith(entries: readonly { site: Site }[]): Site[] {
  return [...new Set([...Object.keys(NAMES), ...entries.map(({ site }) => site)])];
}

/** An axis over the blocks, or a graph's sites, with marks on whole ones alone. */
export function blockScale(blocks: number): Scale {
  const last = Math.max(1, blocks - 1);
  const { ticks } = linearScale(0, last, 10);
  return {
    min: 0,
    max: last,
    ticks: ticks.filter((tick) => Number.isInteger(tick) && tick <= last),
  };
}
