import type { PruneOptions } from '../../lib/options';
import { prune } from '../../lib/prune';

/** Stops a run after so many blocks and returns its journal's folder. */
export async function stopAfter(
  blocks: number,
  model: string,
  settings: PruneOptions,
): Promise<string> {
  const controller = new AbortController();
  await prune(model, {
    ...settings,
    signal: controller.signal,
    onProgress: ({ stage, done }) => {
      if (stage === 'solve' && done === blocks) controller.abort(new Error('enough'));
    },
  }).catch(() => {});
  return `${settings.output}.struprune-journal`;
}
