/** Cuts what a mask removes out of a loaded block. */
import { type BlockHandle, native, type Site } from '../engine/native';
import { outputRole, type Session } from '../engine/session';
import { slicesFor } from '../model/groups';
import type { NativeRefit } from '../solver/native-solver';
import { blockKeep, type Layer } from '../spec/widths';

/** Cuts every tensor of the site; the refit, where there is one, brings the output map along. */
export async function sliceSite(
  session: Session,
  index: number,
  block: BlockHandle,
  { site }: Layer,
  kept: Int32Array,
  refit: NativeRefit | null,
): Promise<void> {
  const { handle } = session.engine;
  const slices = slicesOf(session, index, site, kept);
  for (const [role, { axis, indices }] of Object.entries(slices)) {
    if (refit && role === outputRole(site).weight) continue;
    await native.sliceBlock(handle, block, role as keyof typeof slices, axis, indices);
  }
  if (refit) await native.setOutput(handle, block, site, refit);
  const spec = native.blockWidths(block);
  if (site === 'ffn') native.setWidths(block, spec.heads, spec.kvHeads, kept.length);
  else {
    const perGroup = spec.heads / spec.kvHeads;
    native.setWidths(block, kept.length * perGroup, kept.length, spec.ffn);
  }
}

/** Columns of the site's output map that stay, by the groups that stay. */
export function keptColumns(
  session: Session,
  index: number,
  site: Site,
  kept: Int32Array,
): Int32Array {
  return slicesOf(session, index, site, kept)[outputRole(site).weight]!.indices;
}

function slicesOf(session: Session, index: number, site: Site, kept: Int32Array) {
  return slicesFor(session.architecture, index, blockKeep(site, kept));
}
