import type { EngineOptions } from '../../engine/engine-options';
import type { FlagTable } from './flag';
import { count, size } from './values';

const group = 'Machine';

/** What every command that computes understands. */
export const MACHINE_FLAGS: FlagTable<keyof Omit<EngineOptions, 'signal'>> = {
  threads: {
    flag: '--threads <n>',
    help: 'worker threads',
    group,
    parse: count,
    fallback: 'all cores',
  },
  memory: {
    flag: '--memory <size>',
    help: 'limit on what the native side allocates, for example 512MiB',
    group,
    parse: size,
    fallback: 'none',
  },
  bf16: {
    flag: '--bf16',
    help: 'allow bf16 products where the hardware and the build have them (see devices)',
    group,
  },
};
