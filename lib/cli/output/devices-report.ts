import type { Devices } from '../../engine/devices';
import type { CpuFeatures } from '../../engine/native-devices';
import type { GpuProbe, Reason } from '../../engine/native-gpu';
import { bytes } from '../../numbers';
import { table } from './table';

const FEATURE_NAMES: Record<keyof CpuFeatures, string> = {
  avx2: 'AVX2 with FMA',
  avx512: 'AVX-512',
  avx512Bf16: 'AVX512_BF16',
  amxBf16: 'AMX-BF16',
  neon: 'NEON',
  neonDot: 'NEON dot products',
  neonBf16: 'NEON bf16',
  sve: 'SVE',
};

/** The machine for people; `device` as it was asked for. */
export function devicesReport(devices: Devices, device = 'auto'): string {
  const names = Object.keys(FEATURE_NAMES) as (keyof CpuFeatures)[];
  const having = names.filter((name) => devices.features[name]).map((name) => FEATURE_NAMES[name]);
  const others = devices.gemmPaths.filter((path) => path !== devices.gemmPath);
  const alternatives = others.length > 0 ? `also here: ${others.join(', ')}` : 'the only one here';
  return table(
    [
      ['CPU', devices.cpu],
      ['features', having.join(', ') || 'none of those that matter'],
      ['BLAS', devices.blas],
      ...forcedRows(devices.blas),
      ['GEMM path', `${devices.gemmPath} (${alternatives})`],
      ['threads', String(devices.threads)],
      ['products', `${devices.gemmRate.toFixed(0)} GFLOP/s by that path, measured now`],
      ...otherRows(devices),
      ['sgemm rate', `${devices.sgemmRate.toFixed(0)} GFLOP/s by the BLAS`],
      ...gpuRows(devices.cuda, device),
    ],
    ['left', 'left'],
  );
}

/** Where sums over calibration tokens, or searches, take another path. */
function otherRows(devices: Devices): [string, string][] {
  const { gemmPath, calibrationPath, calibrationRate, searchPath, searchRate } = devices;
  const rows: [string, string, number][] = [
    ['calibration', calibrationPath, calibrationRate],
    ['searches', searchPath, searchRate],
  ];
  return rows
    .filter(([, path]) => path !== gemmPath)
    .map(([name, path, rate]) => [
      name,
      `${rate.toFixed(0)} GFLOP/s by ${path}; --full-precision takes ${gemmPath}`,
    ]);
}

/** OpenBLAS with kernels of a processor that the environment names: easily half of the speed, and nothing else shows it. */
function forcedRows(blas: string): [string, string][] {
  const kernel = process.env.OPENBLAS_CORETYPE;
  if (!kernel || !blas.startsWith('OpenBLAS')) return [];
  return [['', `OPENBLAS_CORETYPE=${kernel} chose that kernel; unset it for this processor's own`]];
}

function gpuRows({ unusable, gpus }: GpuProbe, device: string): [string, string][] {
  if (unusable) {
    return [
      device.startsWith('cuda:')
        ? [device, `cannot be used: ${words(unusable)}`]
        : ['GPU', `none: ${words(unusable)}`],
    ];
  }
  return gpus.map(({ index, name, capability, freeBytes, totalBytes, unusable: reason }) => {
    const free = freeBytes === null ? '' : `${bytes(freeBytes)} of `;
    const memory = `${free}${bytes(totalBytes)}${free && ' free'}`;
    const state = reason ? `cannot be used: ${words(reason)}` : 'can be used';
    return [`cuda:${index}`, `${name}, capability ${capability}, ${memory}, ${state}`];
  });
}

const words = ({ found, mend }: Reason) => `${found}; ${mend}`;
