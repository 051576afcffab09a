import { median } from '../../median';
import type { Runtime } from '../../models/graphs/run/runtime';
import type { Samples } from '../../models/graphs/run/samples';

/**
 * Seconds of one sample of the first batch in onnxruntime with its own settings, by graph: medians of so many rounds. The graphs take turns, each
 * opened again and run once to warm up, so that other work on the machine slows all of them alike and one is in memory at a time.
 */
export async function timed(
  paths: readonly string[],
  samples: Samples,
  runtime: Runtime,
  { repeats, between }: { repeats: number; between: () => void },
): Promise<number[]> {
  const [feeds] = [...samples.read({ from: 0, end: 1 })];
  const seconds: number[][] = paths.map(() => []);
  for (let round = 0; round < repeats; round++) {
    for (const [i, path] of paths.entries()) {
      between();
      await using session = await runtime.open(path, { plansMemory: true });
      await session.run(feeds!);
      const start = performance.now();
      await session.run(feeds!);
      seconds[i]!.push((performance.now() - start) / 1000);
    }
  }
  const size = Math.min(samples.batch, samples.count);
  return seconds.map((each) => median(each) / size);
}
