/** What calls that compute may be told of the machine. An engine checks it (lib/engine). */
import type { MachineOptions } from '../engine/engine-options';
import { bytes, count, device, on, positive } from './kinds';
import { type Declaration, declare } from './option';

export const MACHINE = declare({ group: 'Machine' }, {
  threads: {
    takes: count,
    help: 'worker threads',
    otherwise: 'all cores',
    changes: 'nothing',
  },
  memory: {
    takes: bytes,
    help: 'limit for the process, not counting what an idle Node uses, e.g. 512MiB; without it, up to half of the free memory is used before data goes to scratch files',
    otherwise: 'none',
    changes: 'nothing',
  },
  bf16: {
    takes: on,
    help: 'allow bf16 products where the hardware and the build have them (see devices)',
    changes: 'run',
  },
  fullPrecision: {
    takes: on,
    help: 'full float products also where those of one or two parts of bf16 are faster and taken: to calibrate with AMX, to search with AMX or AVX512_BF16, and on a GPU',
    changes: 'run',
  },
  device: {
    takes: device,
    help: 'where to compute: auto, cpu or cuda:N (see devices)',
    otherwise: 'auto: a GPU that can be used, else the CPU, and says which',
    changes: 'nothing',
  },
  deviceMemory: {
    takes: bytes,
    help: "limit on the GPU's memory, for example 8GiB",
    otherwise: 'most of what is free',
    changes: 'nothing',
  },
  ranks: {
    takes: count,
    help: 'processes that share the run, as many as the launcher of MPI has started (docs/scale-out.md)',
    otherwise: 'this one, without MPI',
    changes: 'nothing',
  },
  network: {
    takes: { ...positive, value: '<Gbit/s>' },
    help: "what a rank can send to another: ranks share the solve's tokens only where that saves time (docs/scale-out.md)",
    otherwise: 'they always share them',
    changes: 'nothing',
  },
} satisfies Record<keyof Omit<MachineOptions, 'onNotice'>, Declaration>);
