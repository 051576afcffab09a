/** The pruned network beside the dense one, on samples that calibrated nothing. */
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
