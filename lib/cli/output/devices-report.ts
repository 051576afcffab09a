import type { Devices } from '../../engine/devices';
import type { CpuFeatures } from '../../engine/native-devices';
import { table } from './table';

const FEATURE_NAMES: Record<keyof CpuFeatures, string> = {
  avx2: 'AVX2 with FMA',
  avx512: 'AVX-512',
  avx512Bf16: 'AVX512_BF16',
  amxBf16: 'AMX-BF16',
};

/** The machine for people. */
export function devicesReport(devices: Devices): string {
  const names = Object.keys(FEATURE_NAMES) as (keyof CpuFeatures)[];
  const having = names.filter((name) => devices.features[name]).map((name) => FEATURE_NAMES[name]);
  const others = devices.gemmPaths.filter((path) => path !== devices.gemmPath);
  const alternatives = others.length > 0 ? `also here: ${others.join(', ')}` : 'the only one here';
  return table(
    [
      ['CPU', devices.cpu],
      ['features', having.join(', ') || 'none of those that matter'],
      ['BLAS', devices.blas],
      ['GEMM path', `${devices.gemmPath} (${alternatives})`],
      ['threads', String(devices.threads)],
      ['sgemm rate', `${devices.sgemmRate.toFixed(0)} GFLOP/s, measured now`],
      ['CUDA', 'not in this build yet: everything runs on the CPU'],
    ],
    ['left', 'left'],
  );
}
