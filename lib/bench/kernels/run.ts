/** Every native operation at a model's own shapes, beside what the machine's two roofs allow. */
import { using, withBytes, withEngine } from '../../engine/engine';
import { native } from '../../engine/native';
import type { KernelTiming, Roofs } from '../../engine/native-bench';
import { AS_IS, Session } from '../../engine/session';
import { windowFor } from '../../evaluate';
import { stageReporter } from '../../progress';
import { sourceOf } from '../../source';
import { commandLine } from '../../wording';
import { documentOf, machineOf, modelOf } from '../document';
import type { BenchDocument, BenchKernel } from '../schema';
import { type KernelOptions, kernelSettings } from './options';
import { timeWholeCalls } from './whole-calls';

/**
 * Times block 0's operations on the CPU. The roofs are measured before and after them, and the higher ones hold:
 * other work on the machine only slows. Operands that stay in a cache may pass the memory roof: shares above 1 say so.
 */
export async function benchKernels(model: string, options: KernelOptions): Promise<BenchDocument> {
  const started = performance.now();
  const settings = kernelSettings(options);
  const { onProgress, threads, memory, bf16 } = options;
  return withEngine({ ...options, device: 'cpu' }, async (engine) => {
    const source = await sourceOf(model);
    const { architecture } = source;
    const window = windowFor(
      architecture,
      settings.window ?? Math.min(settings.tokens, 1024, architecture.maxPositions),
    );
    const tokens = Math.max(1, Math.floor(settings.tokens / window)) * window;
    const { seconds } = settings;
    const report = stageReporter(withBytes(engine, onProgress), 'measure', 4);
    const session = new Session(engine, source, AS_IS, engine.overflow);
    try {
      const before = await native.measureRoofs(engine.handle, seconds);
      report(1, 'roofs');
      const options = { tokens, window, seconds };
      const timings = await using(await session.loadBlock(0), (block) =>
        native.timeKernels(engine.handle, block, options),
      );
      report(2, 'operations');
      timings.push(...(await timeWholeCalls({ session, ...options })));
      report(3, 'solver and head');
      const roofs = higher(before, await native.measureRoofs(engine.handle, seconds));
      report(4, 'roofs');
      const rates = { sgemmRate: roofs.f32, dgemmRate: roofs.f64, bandwidth: roofs.bandwidth };
      const about = {
        command: commandLine(
          ['bench', 'kernels', model],
          Object.entries({ ...settings, threads, memory, bf16 }),
        ),
        machine: machineOf(engine, rates),
        seed: 0,
        settings: { ...settings, tokens, window },
      };
      const gemmRates = [
        { dtype: 'f32', gflops: roofs.f32 },
        { dtype: 'f64', gflops: roofs.f64 },
      ];
      return documentOf(started, about, {
        kernels: {
          model: modelOf(source),
          roofs: [{ device: 'cpu', gemmRates, bandwidth: roofs.bandwidth }],
          rows: timings.map((timing) => placed(timing, roofs)),
        },
      });
    } finally {
      session.dispose();
    }
  });
}

function higher(a: Roofs, b: Roofs): Roofs {
  return {
    f32: Math.max(a.f32, b.f32),
    f64: Math.max(a.f64, b.f64),
    bandwidth: Math.max(a.bandwidth, b.bandwidth),
  };
}

/** A timing under the roofs: the slower of its two needs is what it could reach. */
export function placed(timing: KernelTiming, roofs: Roofs): BenchKernel {
  const { flops, bytes, seconds } = timing;
  const rate = timing.dtype === 'f64' ? roofs.f64 : roofs.f32;
  const compute = flops / (rate * 1e9);
  const memory = bytes / (roofs.bandwidth * 1e9);
  const least = Math.max(compute, memory);
  return {
    ...timing,
    device: 'cpu',
    intensity: flops / bytes,
    gflops: flops / seconds / 1e9,
    attainable: flops / least / 1e9,
    share: least / seconds,
    bound: compute >= memory ? 'compute' : 'memory',
  };
}
