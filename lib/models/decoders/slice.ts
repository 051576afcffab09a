/** Cuts what a mask removes out of a loaded block. */

import { type BlockHandle, native } from '../../engine/native';
import type { Session } from '../../engine/session';
import { slicesFor } from '../../model/groups';
import type { Site } from '../../model/sublayers';
import type { NativeRefit } from '../../solver/native-solver';
import type { Layer } from '../../spec/widths';

/** Cuts every tensor of the site; the refit, where there is one, brings the output map along. */
export async function sliceSite(
  session: Session,
  index: number,
  block: BlockHandle,
  { site, groupSize }: Layer,
  kept: Int32Array,
  refit: NativeRefit | null,
): Promise<void> {
  const { handle } = session.engine;
  const slices = slicesOf(session, index, site, kept);
  for (const [role, { axis, indices }] of Object.entries(slices)) {
    if (refit && role === `${site}.out`) continue;
    await native.sliceBlock(handle, block, role as keyof typeof slices, axis, indices);
  }
  if (refit) await native.setOutput(handle, block, site, refit);
  native.resizeSite(block, site, kept.length * groupSize);
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
