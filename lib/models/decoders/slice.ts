/** Cuts what a mask removes out of a loaded block. */

import type { Block } from '../../engine/block';
import type { Refit } from '../../engine/refit';
import type { Session } from '../../engine/session';
import { slicesFor } from '../../model/groups';
import type { Site } from '../../model/sublayers';
import type { Layer } from '../../spec/widths';
import { choosesExperts } from './experts';

/** Cuts every tensor of the site; the refit, where there is one, brings the output map along. */
export async function sliceSite(
  session: Session,
  index: number,
  block: Block,
  layer: Layer,
  kept: Int32Array,
  refit: Refit | null,
): Promise<void> {
  const { site, groupSize } = layer;
  if (choosesExperts(session.architecture, layer)) return block.keepExperts(site, kept);
  const slices = slicesOf(session, index, site, kept);
  for (const [role, { axis, indices }] of Object.entries(slices)) {
    if (refit && role === `${site}.out`) continue;
    await block.slice(role as keyof typeof slices, axis, indices);
  }
  if (refit) await block.setOutput(site, refit);
  block.resize(site, kept.length * groupSize);
}

/** Columns of the site's output map that stay, by the groups that stay. */
export function keptColumns(
  session: Session,
  index: number,
  site: Site,
  kept: Int32Array,
): Int32Array {
  return slicesOf(session, index, site, kept)[`${site}.out`]!.indices;
}

function slicesOf(session: Session, index: number, site: Site, kept: Int32Array) {
  return slicesFor(session.architecture, index, { [site]: kept });
}
