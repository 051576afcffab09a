/**
 * How sure masks are: those of two halves of the survey's data beside each other, at the widths that were decided (docs/method.md, section 4;
 * after arXiv 2105.12686). Nothing is decided by it.
 */
import { findMask } from '../masks';
import { stageReporter } from '../progress';
import type { MaskConfidence } from '../pruning/result';
import type { Layer } from '../spec/widths';
import type { Work } from './stage';

/** null: it was not asked for, or nothing of any layer goes. */
export async function confidenceOf(
  work: Work,
  removed: Int32Array,
): Promise<MaskConfidence | null> {
  const { network, confidence, onProgress } = work;
  if (!confidence || !network.half) return null;
  const { parts, layers } = network;
  const report = stageReporter(onProgress, 'confidence', 2 * parts);
  const [first, second] = [
    await masksOf(work, removed, 0, (done) =>
      report(done, `half 1 of 2: block ${done} of ${parts}`),
    ),
    await masksOf(work, removed, 1, (done) =>
      report(parts + done, `half 2 of 2: block ${done} of ${parts}`),
    ),
  ];
  const sites = layers.flatMap((layer, at) => {
    const masks = [first.get(at), second.get(at)] as const;
    return masks[0] && masks[1] ? [beside(layer, masks[0], masks[1])] : [];
  });
  if (sites.length === 0) return null;
  const mean = (of: (site: (typeof sites)[number]) => number) =>
    sites.reduce((sum, site) => sum + site.kept * of(site), 0) /
    sites.reduce((sum, site) => sum + site.kept, 0);
  return {
    overlap: mean(({ overlap }) => overlap),
    chance: mean(({ chance }) => chance),
    sites: sites.map(({ kept: _, ...site }) => site),
  };
}

/** By layer; of those alone that lose some of their groups. */
async function masksOf(
  { network, survey, mask }: Work,
  removed: Int32Array,
  half: 0 | 1,
  onPart: (done: number) => void,
): Promise<Map<number, Uint8Array>> {
  const { layers } = network;
  const found = new Map<number, Uint8Array>();
  await network.half!({
    ...{ survey, half },
    onPart: (index) => onPart(index + 1),
    async visit(at, solver) {
      const layer = layers[at]!;
      const { block, site, groups, cost } = layer;
      const keep = groups - removed[at]!;
      if (keep === groups || keep === 0) return;
      const structure = network.structureOf(layer);
      const place = { block, site, keep };
      const problem = { solver, structure, budget: cost * keep, bias: false, place };
      found.set(at, (await findMask({ ...problem, metric: 'plain' }, mask)).keep);
    },
  });
  return found;
}

function beside({ block, site, groups }: Layer, a: Uint8Array, b: Uint8Array) {
  const count = (of: (group: number) => boolean) => [...a.keys()].filter(of).length;
  const kept = count((group) => a[group] === 1);
  const both = count((group) => a[group] === 1 && b[group] === 1);
  // A group that one half alone keeps has a frequency of ½, which is one bit; others have none.
  const entropy = count((group) => a[group] !== b[group]) / groups;
  return { index: block, site, kept, overlap: both / kept, chance: kept / groups, entropy };
}
