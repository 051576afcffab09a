import { expertAt, type Site } from '../model/sublayers';
import type { LayerStats } from './result';

/** Neighbours inside the experts of one block together; all others by themselves. */
export function expertsTogether<One extends { site: Site }>(
  all: readonly One[],
  blockOf: (one: One) => number,
): One[][] {
  const joined: One[][] = [];
  for (const one of all) {
    const last = joined.at(-1)?.[0];
    const inside = expertAt(one.site) !== null;
    if (inside && last && expertAt(last.site) !== null && blockOf(last) === blockOf(one)) {
      joined.at(-1)!.push(one);
    } else {
      joined.push([one]);
    }
  }
  return joined;
}

/** With the channels inside the experts of a block as one site; all others as they are. */
export function joinedExperts(stats: readonly LayerStats[]): LayerStats[] {
  return expertsTogether(stats, ({ index }) => index).map((own) =>
    expertAt(own[0]!.site) === null ? own[0]! : join(own, stats),
  );
}

function join(own: readonly LayerStats[], all: readonly LayerStats[]): LayerStats {
  const sum = (of: (one: LayerStats) => number) => own.reduce((total, one) => total + of(one), 0);
  const most = (of: (one: LayerStats) => number | null) => {
    const known = own.map(of).filter((value) => value !== null);
    return known.length > 0 ? Math.max(...known) : null;
  };
  const tokens = own.map(({ expertTokens }) => expertTokens?.[0] ?? 0);
  const routed = tokens.reduce((total, count) => total + count, 0);
  const measured = routed > 0 && own.every(({ relativeError }) => relativeError !== null);
  const whole = all.find(({ index, site }) => index === own[0]!.index && site === 'experts');
  const weighed = tokens.map((count, j) => count * (own[j]!.relativeError ?? 0));
  return {
    ...own[0]!,
    site: 'expert-channels',
    predicted: own.every(({ predicted }) => predicted !== null)
      ? sum(({ predicted }) => predicted!)
      : null,
    relativeError: measured ? weighed.reduce((total, each) => total + each, 0) / routed : null,
    lambda: most(({ lambda }) => lambda),
    ridgeRaised: most(({ ridgeRaised }) => ridgeRaised)!,
    swaps: own.some(({ swaps }) => swaps !== null) ? sum(({ swaps }) => swaps ?? 0) : null,
    admm: null,
    // Where whole experts went too, they are told of as they were before.
    expertTokens: !whole?.expertTokens && own.some((one) => one.expertTokens) ? tokens : null,
    seconds: sum(({ seconds }) => seconds),
  };
}
