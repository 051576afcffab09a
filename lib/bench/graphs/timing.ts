import { median } from '../../median';
import type { Runtime } from '../../models/graphs/run/runtime';
import type { Samples } from '../../models/graphs/run/samples';

/** Seconds of one sample in onnxruntime with its own settings: the median of so many runs of the first batch, after one to warm up. */
export async function timed(
  runtime: Runtime,
  path: string,
  samples: Samples,
  repeats: number,
): Promise<number> {
  await using session = await runtime.open(path, { plansMemory: true });
  const [feeds] = [...samples.read(1)];
  await session.run(feeds!);
  const seconds: number[] = [];
  for (let round = 0; round < repeats; round++) {
    const start = performance.now();
    await session.run(feeds!);
    seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds) / Math.min(samples.batch, samples.count);
}
