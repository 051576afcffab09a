import type { Architecture, BlockWidths } from '../model/architecture';
import type { Engine } from './engine';
import { native } from './native';
import type { Purpose } from './native-engine';

const SECONDS = 0.15;

/**
 * The rate of products in GFLOP/s at the shapes of a model's own linear maps, weighted by their flops: by the BLAS's
 * sgemm, or by the path of a purpose, what a forward pass could reach if it did nothing else.
 */
export async function measureGemmRate(
  engine: Engine,
  architecture: Architecture,
  by: 'sgemm' | Purpose,
): Promise<number> {
  const { hidden, headDim, vocab, gated, blocks } = architecture;
  const most = (of: (block: BlockWidths) => number) => Math.max(...blocks.map(of));
  const ffn = most((block) => block.ffn);
  const heads = most((block) => block.heads);
  const kvHeads = most((block) => block.kvHeads);
  const shapes: [n: number, k: number, count: number][] = [
    [ffn, hidden, (gated ? 2 : 1) * blocks.length],
    [hidden, ffn, blocks.length],
    [heads * headDim, hidden, blocks.length],
    [hidden, heads * headDim, blocks.length],
    [kvHeads * headDim, hidden, 2 * blocks.length],
    // The head is run by slices of the vocabulary.
    [Math.min(vocab, 1024), hidden, vocab / Math.min(vocab, 1024)],
  ];
  let flops = 0;
  let time = 0;
  for (const [n, k, count] of shapes) {
    const rate = await native.measureGemm(engine.handle, n, k, SECONDS, by);
    flops += n * k * count;
    time += (n * k * count) / rate;
  }
  return flops / time;
}

/** GFLOP/s of square products. */
export interface GemmRates {
  /** By the engine's own path. */
  gemmRate: number;
  /** By the path of sums over calibration tokens. */
  calibrationRate: number;
  /** By the path of searches. */
  searchRate: number;
  /** By the BLAS's sgemm. */
  sgemmRate: number;
}

/** Milliseconds for which rates hold: a caller that plans often does not wait for them each time. */
const HOLDS_MS = 60_000;

const measured = new Map<string, { at: number; rates: GemmRates }>();

/** Each measured for that many seconds, a path that serves twice once; those of a minute ago serve again. */
export async function measureRates(
  engine: Engine,
  width: number,
  seconds: number,
): Promise<GemmRates> {
  const { gemmPath, calibrationPath, searchPath, threads } = engine;
  const key = [gemmPath, calibrationPath, searchPath, threads, width, seconds].join();
  const known = measured.get(key);
  if (known && performance.now() - known.at < HOLDS_MS) return known.rates;
  const rates = await ratesOf(engine, width, seconds);
  measured.set(key, { at: performance.now(), rates });
  return rates;
}

async function ratesOf(engine: Engine, width: number, seconds: number): Promise<GemmRates> {
  const rate = (by: 'sgemm' | Purpose) =>
    native.measureGemm(engine.handle, width, width, seconds, by);
  const gemmRate = await rate('measuring');
  const { gemmPath, calibrationPath, searchPath } = engine;
  const calibrationRate = calibrationPath === gemmPath ? gemmRate : await rate('calibrating');
  const searchRate = searchPath === gemmPath ? gemmRate : await rate('searching');
  return { gemmRate, calibrationRate, searchRate, sgemmRate: await rate('sgemm') };
}
