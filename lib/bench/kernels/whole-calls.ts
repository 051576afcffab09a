/** Operations that are calls of their own: reading a block, the head, and a site's solver. */
import type { Block, FfnTokens } from '../../engine/block';
import { GaussNewton } from '../../engine/input-solver';
import type { Matrix } from '../../engine/matrix';
import type { KernelTiming } from '../../engine/native-bench';
import { using } from '../../engine/owned';
import type { Refit } from '../../engine/refit';
import { nextTokens, type Session } from '../../engine/session';
import { Solver } from '../../engine/solver';
import { embeddingWidth } from '../../model/axes';
import { makeFfnTokens } from '../../models/decoders/input-refit';
import { gaussNewtonFlops } from '../../solver/gauss-newton';
import { refitFlops, sweepFlops } from '../flops';

interface Input {
  session: Session;
  tokens: number;
  window: number;
  seconds: number;
}

type About = Omit<KernelTiming, 'seconds' | 'repeats'>;

export async function timeWholeCalls(input: Input): Promise<KernelTiming[]> {
  const { session, tokens, window } = input;
  const found = [await timeLoad(input)];
  const ids = Int32Array.from({ length: tokens }, (_, i) => (7 * i) % session.architecture.vocab);
  await using(await session.embed(ids, window, 'measuring'), async (hidden) => {
    found.push(await timeHead(input, () => session.score(hidden, nextTokens(ids, window))));
    await using(await session.loadBlock(0), async (block) => {
      await session.advanceSite(block, 'attention', hidden, window, 'measuring');
      found.push(...(await timeFfn(input, block, hidden)));
    });
  });
  return found;
}

/** What is done on an FFN's sums, and the passes of Gauss-Newton over its tokens, no channel removed. */
async function timeFfn(input: Input, block: Block, hidden: Matrix): Promise<KernelTiming[]> {
  const { session, window } = input;
  const ffn = block.width('ffn');
  const made = makeFfnTokens(session, block, 'ffn', hidden, '');
  using inputs = made.inputs;
  using targets = made.targets;
  using statistics = session.statistics(ffn, { gram: true });
  const run = { window, hidden, advance: false, statistics, inputs, targets, alpha: 0, beta: 0 };
  await block.run('ffn', { purpose: 'measuring', ...run });
  const options = { lambda: 0.05, group: 1, metric: null };
  using solver = await Solver.of(block, 'ffn', statistics, options);
  const found = await timeSolver(input, solver);
  using refit = await solver.refit(new Uint8Array(ffn).fill(1));
  found.push(...(await timeGaussNewton(input, block, made, refit)));
  return found;
}

async function timeGaussNewton(
  { session, tokens, seconds }: Input,
  block: Block,
  ffnTokens: FfnTokens,
  refit: Refit,
): Promise<KernelTiming[]> {
  const { hidden, gated } = session.architecture;
  const ffn = block.width('ffn');
  const parts = gated ? 2 : 1;
  const flops = gaussNewtonFlops({ width: ffn, hidden, parts });
  const weights = (parts + 1) * ffn * hidden;
  const about = (op: string, flops: number, bytes: number) => ({
    op: `Gauss-Newton: ${op}`,
    shape: `[${tokens}, ${hidden}], ${ffn} channels`,
    dtype: 'f32',
    flops,
    bytes,
  });
  const sums = 8 * (parts * ffn * (hidden + ffn) + hidden ** 2);
  const options = { lambda: 0.05, freezeBiases: false };
  using solver = await GaussNewton.of(block, 'ffn', ffnTokens, options);
  using statistics = session.statistics(ffn, { gram: true, residual: hidden });
  return [
    await time(
      about('gradient', tokens * flops.gradient, 4 * (weights + 2 * tokens * hidden) + sums),
      seconds,
      () => solver.linearise(refit, { tokens, offset: 0 }, 'measuring'),
    ),
    await time(
      about(
        'direction',
        tokens * (flops.direction + flops.back),
        8 * weights + 4 * tokens * hidden + sums,
      ),
      seconds,
      () => solver.nextDirection(false, 'measuring'),
    ),
    await time(
      about(
        'hidden activations',
        tokens * flops.refit,
        4 * (weights + 2 * tokens * hidden) + 8 * ffn ** 2,
      ),
      seconds,
      () => block.collectHidden('ffn', ffnTokens, statistics, 'measuring'),
    ),
  ];
}

/** Reading a block, dequantised: stored bytes in, floats out. */
async function timeLoad({ session, seconds }: Input): Promise<KernelTiming> {
  const tensors = Object.values(session.source.blocks[0]!);
  const values = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
  const stored = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const dtypes = [...new Set(tensors.filter(({ shape }) => shape.length > 1).map((t) => t.dtype))];
  const about = {
    op: `load block (${dtypes.join(', ')})`,
    shape: `[${values}]`,
    dtype: 'f32',
    flops: 0,
    bytes: stored + 4 * values,
  };
  return time(about, seconds, async () => {
    using _block = await session.loadBlock(0);
  });
}

async function timeHead(
  { session, tokens, seconds }: Input,
  score: () => Promise<unknown>,
): Promise<KernelTiming> {
  const { vocab } = session.architecture;
  const width = embeddingWidth(session.architecture);
  const about = {
    op: 'head and NLL',
    shape: `[${tokens}, ${width}] × [${width}, ${vocab}]`,
    dtype: 'f32',
    flops: 2 * tokens * width * vocab,
    // Logits need not be written at all.
    bytes: 4 * width * (tokens + vocab),
  };
  return time(about, seconds, score);
}

/** The sweep over half of the columns, and the refit on the other half. */
async function timeSolver({ session, seconds }: Input, solver: Solver): Promise<KernelTiming[]> {
  const n = solver.columnCount;
  const m = session.architecture.hidden;
  const removed = Math.floor(n / 2);
  const kept = n - removed;
  const sweep = {
    op: 'sweep',
    shape: `[${m}, ${n}], ${removed} removed`,
    dtype: 'f64',
    flops: sweepFlops(m, n, removed),
    bytes: 8 * (3 * n ** 2 + 2 * m * n),
  };
  const refit = {
    op: 'refit',
    shape: `[${m}, ${kept}]`,
    dtype: 'f64',
    flops: refitFlops(m, kept),
    bytes: 8 * (kept ** 2 + 2 * m * kept),
  };
  const keep = new Uint8Array(n).fill(1, removed);
  return [
    await time(sweep, seconds, () => solver.sweep({ maxRemoved: removed })),
    await time(refit, seconds, async () => {
      using _refit = await solver.refit(keep);
    }),
  ];
}

/** As the native stopwatch: once to warm up, then at least three times; the fastest. */
async function time(
  about: About,
  seconds: number,
  work: () => Promise<unknown>,
): Promise<KernelTiming> {
  await work();
  let [fastest, sum, repeats] = [Number.POSITIVE_INFINITY, 0, 0];
  for (; repeats < 3 || sum < seconds; repeats++) {
    const start = performance.now();
    await work();
    const elapsed = (performance.now() - start) / 1000;
    fastest = Math.min(fastest, elapsed);
    sum += elapsed;
  }
  return { ...about, seconds: fastest, repeats };
}
