/** The pruned network beside the dense one, on samples that calibrated nothing. */
import { short } from '../../../numbers';
import { Losses, type OutputLoss, type OwnCall } from './losses';
import type { Runtime } from './runtime';
import type { Samples } from './samples';

export interface Evaluation {
  samples: number;
  loss: number;
  /** Share of outputs whose largest probability or logit is the dense network's; null without such an output. */
  agreement: number | null;
}

/** `between`: called before every batch; may throw. */
export async function compare(
  [dense, pruned]: readonly [dense: string, pruned: string],
  samples: Samples,
  outputs: readonly OutputLoss[],
  {
    runtime,
    between,
    ownLoss = null,
  }: { runtime: Runtime; between: () => void; ownLoss?: OwnCall | null },
): Promise<Evaluation> {
  await using before = await runtime.open(dense);
  await using after = await runtime.open(pruned);
  const losses = new Losses(outputs, ownLoss);
  for (const feeds of samples.read()) {
    between();
    losses.add(await before.run(feeds), await after.run(feeds));
  }
  return { samples: samples.count, loss: losses.mean, agreement: losses.agreement };
}

/** What a result loses on other samples is warned of from so many times of what it loses on those that calibrated, */
const PARTED = 4;
/** and from such a loss on. */
const NOTED = 0.01;

/** What to say where the refits fit their samples and little else; null: nothing. `own`: loss on the `count` samples that calibrated. */
export function partedWarning({ loss }: Evaluation, own: number, count: number): string | null {
  if (loss < NOTED || loss < PARTED * own) return null;
  const times = own > 0 ? `, ${(loss / own).toFixed(0)} times as much` : '';
  return `the result loses ${own > 0 ? short(own) : 'nothing'} on the ${count} samples that calibrated and ${short(loss)} on others${times}: more samples of all kinds would bring them together`;
}
