/** Perplexity of a model on token ids, streamed block by block over batches of windows. */
import { measureGemmRate } from '../engine/gemm-rate';
import { native } from '../engine/native';
import { using } from '../engine/owned';
import { blockSpec, nextTokens, type Session } from '../engine/session';
import { meanOfTokens } from '../engine/token-values';
import { StruPruneError } from '../errors';
import type { Architecture } from '../model/architecture';
import { embeddingWidth } from '../model/axes';
import { heldPositions } from '../model/yarn';
import { type OnStage, stageReporter } from '../progress';
import { type Against, Beside } from './against';

export interface Evaluation {
  /** exp of the mean negative log-likelihood over window − 1 targets of every window. */
  perplexity: number;
  /** The mean itself, nats per target. */
  meanNll: number;
  /** Tokens run through the model: whole windows. */
  tokens: number;
  window: number;
  tokensPerSecond: number;
  /** Seconds of the forward pass, dequantisation included. */
  seconds: number;
  /** Largest resident size of the process, bytes. */
  peakRssBytes: number;
  /** Useful flops ÷ seconds ÷ measured sgemm rate; null unless asked for. */
  gemmShare: number | null;
  /** GFLOP/s, mean of measurements before, between and after the batches; null unless asked for. */
  gemmRate: number | null;
  /** Beside the dense model that was named; null: none was. */
  against: Against | null;
}

/** Hidden states in memory at a time; every block is read once per batch, and on a GPU copied there, which takes longer than its work on so few. */
const BATCH_BYTES = 32 * 2 ** 20;
const GPU_BATCH_BYTES = 256 * 2 ** 20;
/** Tokens. */
const CALIBRATION_WINDOW = 1024;

/** How ids go through a model, batch after batch. */
interface Batches {
  window: number;
  scratch: string;
  beside: Beside | undefined;
  /** Runs what is no part of the model's own pass. */
  aside(work: () => Promise<void>): Promise<void>;
  /** Is called before the first batch and after each. */
  between(): Promise<void>;
  onProgress: OnStage | undefined;
}

/** On token ids of whole windows. */
export async function evaluateIds(
  session: Session,
  ids: Int32Array,
  options: {
    window: number;
    /** Folder for hidden states; in memory when left out or ''. */
    scratch?: string;
    measureGemm?: boolean;
    /** A dense model of the same vocabulary. */
    against?: Session;
    onProgress?: OnStage;
  },
): Promise<Evaluation> {
  const { window, scratch = '', against, onProgress } = options;
  const { engine, architecture } = session;
  const rates: number[] = [];
  const beside = against && new Beside(against, window);
  let apart = 0;
  const aside = async (work: () => Promise<void>) => {
    const start = performance.now();
    await work();
    apart += performance.now() - start;
  };
  const measures = options.measureGemm && engine.device === 'cpu';
  // Between batches, since the speed of a shared machine drifts.
  const between = () =>
    aside(async () => {
      if (measures) rates.push(await measureGemmRate(engine, architecture, 'sgemm'));
    });
  const start = performance.now();
  const run = { window, scratch, beside, aside, between, onProgress };
  const meanNll = await meanNllOf(session, ids, run);
  const seconds = (performance.now() - start - apart) / 1000;
  const gemmRate = rates.length ? rates.reduce((sum, rate) => sum + rate) / rates.length : null;
  const flops = forwardFlops(architecture, ids.length, window);
  return {
    perplexity: native.exp(Float64Array.of(meanNll))[0]!,
    meanNll,
    tokens: ids.length,
    window,
    tokensPerSecond: ids.length / seconds,
    seconds,
    peakRssBytes: native.peakRss(),
    gemmShare: gemmRate === null ? null : flops / seconds / (gemmRate * 1e9),
    gemmRate,
    against: beside?.means ?? null,
  };
}

async function meanNllOf(
  session: Session,
  ids: Int32Array,
  { window, scratch, beside, aside, between, onProgress }: Batches,
): Promise<number> {
  const { architecture, engine } = session;
  const { length: blocks } = architecture.blocks;
  const batch = batchTokens(architecture, window, engine.device !== 'cpu');
  const steps = Math.ceil(ids.length / batch) * (blocks + 1 + (beside?.blocks ?? 0));
  const report = stageReporter(onProgress, 'evaluate', steps);
  const losses: Float64Array[] = [];
  let done = 0;
  await between();
  for (let first = 0; first < ids.length; first += batch) {
    const part = ids.subarray(first, first + batch);
    const targets = nextTokens(part, window);
    const where = `windows ${first / window + 1} to ${(first + part.length) / window}`;
    await using(await session.embed(part, window, 'measuring', scratch), async (hidden) => {
      await session.forward(hidden, window, 'measuring', (index) =>
        report(++done, `${where}, block ${index + 1} of ${blocks}`, index),
      );
      const { nll } = await session.score(hidden, targets);
      report(++done, `${where}, head`);
      for (const [i, target] of targets.entries()) {
        if (target >= 0 && !Number.isFinite(nll[i])) throw notFinite(where);
      }
      losses.push(nll);
      if (!beside) return;
      const onBlock = (index: number) =>
        report(
          ++done,
          `${where}, block ${index + 1} of ${beside.blocks} of the dense model`,
          index,
        );
      const dense = { ids: part, targets, scratch, onBlock };
      await aside(() => beside.add(session, hidden, dense));
    });
    await between();
  }
  return meanOfTokens(losses, window);
}

export function notFinite(where: string): StruPruneError {
  return new StruPruneError(
    'ERR_NAN',
    `the model's logits are not finite in ${where}`,
    'the weights are too large for float32, or damaged: fetch the checkpoint again',
  );
}

/** Tokens that are evaluated at a time. */
export function batchTokens(architecture: Architecture, window: number, onGpu: boolean): number {
  const bytes = onGpu ? GPU_BATCH_BYTES : BATCH_BYTES;
  const windows = Math.floor(bytes / (4 * architecture.hidden * window));
  return Math.max(1, windows) * window;
}

/** Useful flops of blocks and head. */
export function forwardFlops(architecture: Architecture, tokens: number, window: number): number {
  const head = native.headFlops(architecture.vocab, embeddingWidth(architecture), tokens);
  return blocksFlops(architecture, tokens, window) + head;
}

/** Of the blocks: 2 per weight and token, and the causal half of attention. */
export function blocksFlops(architecture: Architecture, tokens: number, window: number): number {
  return architecture.blocks.reduce(
    (sum, _, index) => sum + native.blockFlops(blockSpec(architecture, index), tokens, window),
    0,
  );
}

/** The asked window, or the default that the model has positions for. */
export function windowFor(architecture: Architecture, asked: number | undefined): number {
  const positions = heldPositions(architecture);
  const window = asked ?? Math.min(2048, positions);
  if (!Number.isInteger(window) || window < 2) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `a window of ${window} has no token to predict`,
      'give a --window of at least 2',
    );
  }
  if (window > positions) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `window ${window} is longer than the model's ${positions} positions`,
      `choose --window ${positions} or less`,
    );
  }
  return window;
}

/** The same for calibration, whose default is shorter; `most`: tokens that there are. */
export function calibrationWindow(
  architecture: Architecture,
  asked: number | undefined,
  most = CALIBRATION_WINDOW,
): number {
  const usual = Math.min(CALIBRATION_WINDOW, most, heldPositions(architecture));
  return windowFor(architecture, asked ?? usual);
}
