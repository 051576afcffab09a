import type { FlagTable } from './flag';
import { count, deviceName, size } from './values';

const group = 'Machine';

/** What commands that compute understand. */
export const MACHINE_FLAGS: FlagTable<
  'threads' | 'memory' | 'bf16' | 'fullPrecision' | 'device' | 'deviceMemory'
> = {
  threads: {
    flag: '--threads <n>',
    help: 'worker threads',
    group,
    parse: count,
    fallback: 'all cores',
  },
  memory: {
    flag: '--memory <size>',
    help: 'limit for the process, not counting what an idle Node uses, e.g. 512MiB; without it, up to half of the free memory is used before data goes to scratch files',
    group,
    parse: size,
    fallback: 'none',
  },
  bf16: {
    flag: '--bf16',
    help: 'allow bf16 products where the hardware and the build have them (see devices)',
    group,
  },
  fullPrecision: {
    flag: '--full-precision',
    help: 'full float products also where those of one or two parts of bf16 are faster and taken: to calibrate with AMX, and on a GPU',
    group,
  },
  device: {
    flag: '--device <name>',
    help: 'where to compute: auto, cpu or cuda:N (see devices)',
    group,
    parse: deviceName,
    fallback: 'auto: a GPU that can be used, else the CPU, and says which',
  },
  deviceMemory: {
    flag: '--device-memory <size>',
    help: "limit on the GPU's memory, for example 8GiB",
    group,
    parse: size,
    fallback: 'most of what is free',
  },
};
