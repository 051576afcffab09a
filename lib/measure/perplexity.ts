/** Perplexity of a model on token ids, streamed block by block over batches of windows. */
import { measureGemmRate } from '../engine/gemm-rate';
import { native } from '../engine/native';
import { using } from '../engine/owned';
import { blockSpec, nextTokens, type Session } from '../engine/session';
import { StruPruneError } from '../errors';
import type { Architecture } from '../model/architecture';
import { embeddingWidth } from '../model/axes';
import { type OnStage, stageReporter } from '../progress';

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
}

/** Hidden states in memory at a time; every block is read once per batch, and on a GPU copied there, which takes longer than its work on so few. */
const BATCH_BYTES = 32 * 2 ** 20;
const GPU_BATCH_BYTES = 256 * 2 ** 20;
/** Tokens. */
const CALIBRATION_WINDOW = 1024;

/** On token ids of whole windows. */
export async function evaluateIds(
  session: Session,
  ids: Int32Array,
  options: {
    window: number;
    /** Folder for hidden states; in memory when left out or ''. */
    scratch?: string;
    measureGemm?: boolean;
    onProgress?: OnStage;
  },
): Promise<Evaluation> {
  const { window, scratch = '', onProgress } = options;
  const { engine, architecture } = session;
  const rates: number[] = [];
  let measuring = 0;
  // Between batches, since the speed of a shared machine drifts.
  const measure = async () => {
    if (!options.measureGemm || engine.device !== 'cpu') return;
    const start = performance.now();
    rates.push(await measureGemmRate(engine, architecture, 'sgemm'));
    measuring += performance.now() - start;
  };
  const start = performance.now();
  const meanNll = await meanNllOf(session, ids, { window, scratch, onProgress }, measure);
  const seconds = (performance.now() - start - measuring) / 1000;
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
  };
}

async function meanNllOf(
  session: Session,
  ids: Int32Array,
  {
    window,
    scratch,
    onProgress,
  }: { window: number; scratch: string; onProgress: OnStage | undefined },
  aroundBatches: () => Promise<void>,
): Promise<number> {
  const { architecture } = session;
  const batch = batchTokens(architecture, window, session.engine.device !== 'cpu');
  const batches = Math.ceil(ids.length / batch);
  const report = stageReporter(onProgress, 'evaluate', batches * (architecture.blocks.length + 1));
  let sum = 0;
  let targets = 0;
  let done = 0;
  await aroundBatches();
  for (let start = 0; start < ids.length; start += batch) {
    const part = ids.subarray(start, start + batch);
    const where = `windows ${start / window + 1} to ${(start + part.length) / window}`;
    const targetIds = nextTokens(part, window);
    const { nll } = await using(
      await session.embed(part, window, 'measuring', scratch),
      async (hidden) => {
        await session.forward(hidden, window, 'measuring', (index) =>
          report(++done, `${where}, block ${index + 1} of ${architecture.blocks.length}`, index),
        );
        return session.score(hidden, targetIds);
      },
    );
    report(++done, `${where}, head`);
    for (const [i, target] of targetIds.entries()) {
      if (target < 0) continue;
      if (!Number.isFinite(nll[i])) throw notFinite(where);
      sum += nll[i]!;
      targets++;
    }
    await aroundBatches();
  }
  return sum / targets;
}

function notFinite(where: string): StruPruneError {
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

/** Useful flops of blocks and head: 2 per weight and token, and the causal half of attention. */
export function forwardFlops(architecture: Architecture, tokens: number, window: number): number {
  const blocks = architecture.blocks.reduce(
    (sum, _, index) => sum + native.blockFlops(blockSpec(architecture, index), tokens, window),
    0,
  );
  return blocks + native.headFlops(architecture.vocab, embeddingWidth(architecture), tokens);
}

/** The asked window, or the default that the model has positions for. */
export function windowFor(architecture: Architecture, asked: number | undefined): number {
  const window = asked ?? Math.min(2048, architecture.maxPositions);
  if (!Number.isInteger(window) || window < 2) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `a window of ${window} has no token to predict`,
      'give a --window of at least 2',
    );
  }
  if (window > architecture.maxPositions) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `window ${window} is longer than the model's ${architecture.maxPositions} positions`,
      `choose --window ${architecture.maxPositions} or less`,
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
  const usual = Math.min(CALIBRATION_WINDOW, most, architecture.maxPositions);
  return windowFor(architecture, asked ?? usual);
}
