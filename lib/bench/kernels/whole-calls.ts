/** Operations that are calls of their own: reading a block, the head, and a site's solver. */
import { using } from '../../engine/engine';
import { native } from '../../engine/native';
import type { KernelTiming } from '../../engine/native-bench';
import { nextTokens, type Session } from '../../engine/session';
import type { NativeSolver } from '../../solver/native-solver';
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
  await using(await session.embed(ids, window), async (hidden) => {
    found.push(await timeHead(input, () => session.score(hidden, nextTokens(ids, window))));
    await using(await session.loadBlock(0), async (block) => {
      const { ffn } = native.blockWidths(block);
      const sums = session.statistics(ffn, { gram: true });
      await using(sums, async (statistics) => {
        await session.advanceSite(block, 'attention', hidden, window);
        await session.advanceSite(block, 'ffn', hidden, window, statistics);
        const options = { lambda: 0.05, group: 1, metric: null };
        const { handle } = session.engine;
        const solver = await native.createSolver(handle, statistics, block, 'ffn', options);
        try {
          found.push(...(await timeSolver(input, solver)));
        } finally {
          solver.release();
        }
      });
    });
  });
  return found;
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
  return time(about, seconds, async () => native.release(await session.loadBlock(0)));
}

async function timeHead(
  { session, tokens, seconds }: Input,
  score: () => Promise<unknown>,
): Promise<KernelTiming> {
  const { vocab, hidden, embeddingProjection } = session.architecture;
  const width = embeddingProjection ?? hidden;
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
async function timeSolver(
  { session, seconds }: Input,
  solver: NativeSolver,
): Promise<KernelTiming[]> {
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
    await time(refit, seconds, async () => (await solver.refit(keep)).release()),
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
