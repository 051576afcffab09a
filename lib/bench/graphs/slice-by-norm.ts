/** What is usual for graphs: the units of the least norm are sliced away, and nothing makes up for them. */
import { dirname } from 'node:path';
import { elements } from '../../model/axes';
import type { OnnxFile } from '../../models/graphs/onnx/file';
import { isFloat } from '../../models/graphs/onnx/floats';
import { relate } from '../../models/graphs/relate';
import { Counts } from '../../models/graphs/run/counts';
import { openInferred } from '../../models/graphs/run/inferred';
import { Runtime } from '../../models/graphs/run/runtime';
import { tensorFloats } from '../../models/graphs/run/weights';
import { type Site, sitesOf } from '../../models/graphs/sites';
import { slice } from '../../models/graphs/slice';

/** Steps of the share that is looked for. */
const STEPS = 1000;

/**
 * Writes the graph without the least share of every exact site's units, those of the least L2 norm over all constants along the site
 * (Torch-Pruning's group norm), that leaves at most so many parameters. Gives whether there is such a share.
 */
export async function sliceByNorm(
  model: string,
  output: string,
  parameters: number,
): Promise<boolean> {
  const folder = dirname(output);
  using file = await openInferred(model, new Runtime(1, folder), folder);
  const network = relate(file);
  const sites = sitesOf(network).filter(({ mixed }) => mixed === undefined);
  const counts = new Counts(network, sites);
  const removedAt = (step: number) => sites.map(({ units }) => Math.ceil((step / STEPS) * units));
  const leftAt = (step: number) => counts.after(removedAt(step)).parameters;
  let step = 0;
  while (step < STEPS && leftAt(step) > parameters) step++;
  const removed = removedAt(step);
  if (sites.some(({ units }, i) => removed[i]! >= units)) return false;
  const choice = new Map(
    sites.map((site, i) => {
      const norms = normsOf(file, site);
      const order = [...norms.keys()].sort((a, b) => norms[a]! - norms[b]!);
      return [site, order.slice(removed[i]).sort((a, b) => a - b)];
    }),
  );
  slice(network, choice);
  await file.write(output, { replace: true });
  return true;
}

/** ‖w‖² of each unit over all constants of floats along the site that have two axes or more. */
function normsOf(file: OnnxFile, { along, units }: Site): Float64Array {
  const norms = new Float64Array(units);
  for (const { value, axis, positions, units: at } of along) {
    const dims = value.dims!.map(Number);
    if (dims.length < 2 || !isFloat(value.tensor!.dataType)) continue;
    const all = tensorFloats(file, value.tensor!);
    const inner = elements(dims.slice(axis + 1));
    const unitAt = new Map(Array.from(positions, (position, i) => [position, at[i]!]));
    all.forEach((weight, i) => {
      const unit = unitAt.get(Math.floor(i / inner) % dims[axis]!);
      if (unit !== undefined) norms[unit]! += weight ** 2;
    });
  }
  return norms;
}
