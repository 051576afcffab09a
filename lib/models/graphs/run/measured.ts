/** The pruned network beside the dense one, on samples that calibrated nothing. */
import { short } from '../../../numbers';
import { Losses, type OutputLoss, type OwnCall } from './losses';
import { haveRoom, type Running, visitInSegments } from './outputs';
import type { Activation, Activations } from './runtime';
import type { Samples } from './samples';
import { keepIn } from './walk';

export interface Evaluation {
  samples: number;
  loss: number;
  /** Share of outputs whose largest probability or logit is the dense network's; null without such an output. */
  agreement: number | null;
}

export async function compare(
  [dense, pruned]: readonly [dense: string, pruned: string],
  samples: Samples,
  outputs: readonly OutputLoss[],
  { ownLoss = null, ...running }: Running & { ownLoss?: OwnCall | null },
): Promise<Evaluation> {
  const losses = new Losses(outputs, ownLoss);
  const compared = (await haveRoom(running.room, dense, pruned)) ? compareWholes : compareInTurn;
  await compared([dense, pruned], samples, losses, running);
  return { samples: samples.count, loss: losses.mean, agreement: losses.agreement };
}

async function compareWholes(
  [dense, pruned]: readonly [dense: string, pruned: string],
  samples: Samples,
  losses: Losses,
  { runtime, between }: Running,
): Promise<void> {
  await using before = await runtime.open(dense);
  await using after = await runtime.open(pruned);
  for (const feeds of samples.read()) {
    between();
    losses.add(await before.run(feeds), await after.run(feeds));
  }
}

/** All outputs of the dense graph are kept. */
async function compareInTurn(
  [dense, pruned]: readonly [dense: string, pruned: string],
  samples: Samples,
  losses: Losses,
  running: Running,
): Promise<void> {
  const { names: outputs } = losses;
  const kept: Record<string, Activation>[] = [];
  await visitInSegments(dense, samples, { outputs, visit: keepIn(kept) }, running);
  const add = (values: Activations, batch: number) => losses.add(kept[batch]!, values, batch);
  await visitInSegments(pruned, samples, { outputs, visit: add }, running);
}

/** What a result loses on other samples is warned of from so many times of what it loses on those that calibrated, */
const PARTED = 4;
/** and from such a loss on; less than this is none. */
const NOTED = 0.01;
const NOTHING = 1e-6;

/** What to say where the refits fit their samples and little else; null: nothing. `own`: loss on the `count` samples that calibrated. */
export function partedWarning({ loss }: Evaluation, own: number, count: number): string | null {
  if (loss < NOTED || loss < PARTED * own) return null;
  const isSome = own > NOTHING;
  const times = isSome ? `, ${(loss / own).toFixed(0)} times as much` : '';
  return `the result loses ${isSome ? short(own) : 'nothing'} on the ${count} samples that calibrated and ${short(loss)} on others${times}: more samples of all kinds would bring them together`;
}
