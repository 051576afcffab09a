/** Every native operation at a model's own shapes, beside what the machine's two roofs allow. */

import type { BenchDocument, BenchKernel, BenchKernels } from '../../documents/bench';
import { withEngine } from '../../engine/call';
import { withBytes } from '../../engine/engine';
import type { KernelRun, KernelTiming, Roofs } from '../../engine/native-bench';
import { using } from '../../engine/owned';
import { measureRoofs, timeGpuKernels } from '../../engine/roofs';
import { AS_IS, blockSpec, Session } from '../../engine/session';
import { asStruPruneError } from '../../errors';
import { calibrationWindow } from '../../measure/perplexity';
import type { Architecture, ModelSource } from '../../model/architecture';
import { embeddingWidth } from '../../model/axes';
import { stageReporter } from '../../progress';
import { sourceOf } from '../../source';
import { commandLine } from '../../wording';
import { documentOf, machineOf, modelOf } from '../document';
import { type KernelOptions, type KernelSettings, kernelSettings } from './options';
import { timeWholeCalls } from './whole-calls';

/**
 * Times block 0's operations on the CPU, and on a GPU where `device` has one. The CPU's roofs are measured before and after
 * them, and the higher ones hold: other work on the machine only slows. Operands that stay in a cache may pass the memory
 * roof: shares above 1 say so.
 */
export async function benchKernels(model: string, options: KernelOptions): Promise<BenchDocument> {
  const started = performance.now();
  const settings = kernelSettings(options);
  const { onProgress, threads, memory, bf16, fullPrecision, device, deviceMemory } = options;
  const source = await sourceOf(model, options);
  // First: a GPU that was named and cannot be used is told of before any work.
  const gpu = await onGpu(source, settings, options);
  return withEngine({ ...options, device: 'cpu', fullPrecision: false }, async (engine) => {
    const run = runOf(source.architecture, settings);
    const { tokens, window, seconds } = run;
    const report = stageReporter(withBytes(engine, onProgress), 'measure', 4);
    const session = new Session(engine, source, AS_IS, engine.overflow);
    try {
      const before = await measureRoofs(engine, seconds);
      report(1, 'roofs');
      const timings = await using(await session.loadBlock(0), (block) => block.timeKernels(run));
      report(2, 'operations');
      timings.push(...(await timeWholeCalls({ session, ...run })));
      report(3, 'solver and head');
      const roofs = higher(before, await measureRoofs(engine, seconds));
      report(4, 'roofs');
      const { bandwidth } = roofs;
      const rates = { sgemmRate: roofs.f32, dgemmRate: roofs.f64, bandwidth };
      const about = {
        command: commandLine(
          ['bench', 'kernels', model],
          Object.entries({
            ...settings,
            threads,
            memory,
            bf16,
            fullPrecision,
            device,
            deviceMemory,
          }),
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
          roofs: [{ device: 'cpu', gemmRates, bandwidth }, ...(gpu?.roofs ?? [])],
          rows: [
            ...timings.map((timing) => placed(timing, { device: 'cpu', gemmRates, bandwidth })),
            ...(gpu?.rows ?? []),
          ],
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

/** Operations of the GPU that an engine takes; null where it stays on the CPU. */
async function onGpu(
  source: ModelSource,
  settings: KernelSettings,
  options: KernelOptions,
): Promise<Pick<BenchKernels, 'roofs' | 'rows'> | null> {
  return withEngine(options, async (engine) => {
    if (engine.device === 'cpu') return null;
    const { architecture } = source;
    const run = runOf(architecture, settings);
    const spec = blockSpec(architecture, 0);
    const head = { width: embeddingWidth(architecture), vocab: architecture.vocab };
    const measured = await timeGpuKernels(engine, spec, head, run).catch((error: unknown) => {
      const { code, found, mend } = asStruPruneError(error);
      if (code !== 'ERR_BUDGET' || (options.device ?? 'auto') !== 'auto') throw error;
      options.onNotice?.(`the GPU is not measured: ${found}; ${mend}`);
      return null;
    });
    if (measured === null) return null;
    const { gemmRates, bandwidth, timings } = measured;
    const roof = { device: engine.device, gemmRates, bandwidth };
    return { roofs: [roof], rows: timings.map((timing) => placed(timing, roof)) };
  });
}

/** Whole windows of the tokens that were asked for. */
function runOf(
  architecture: Architecture,
  { tokens, window: asked, seconds }: KernelSettings,
): KernelRun {
  const window = calibrationWindow(architecture, asked, tokens);
  return { window, tokens: Math.max(1, Math.floor(tokens / window)) * window, seconds };
}

/** A timing under its device's roofs: the slower of its two needs is what it could reach. */
export function placed(timing: KernelTiming, roof: BenchKernels['roofs'][number]): BenchKernel {
  const { flops, bytes, seconds } = timing;
  const rate = roof.gemmRates.find(({ dtype }) => dtype === timing.dtype)!.gflops;
  const compute = flops / (rate * 1e9);
  const memory = bytes / (roof.bandwidth * 1e9);
  const least = Math.max(compute, memory);
  return {
    ...timing,
    device: roof.device,
    intensity: flops / bytes,
    gflops: flops / seconds / 1e9,
    attainable: flops / least / 1e9,
    share: least / seconds,
    bound: compute >= memory ? 'compute' : 'memory',
  };
}
