import type { Command } from 'commander';
import { addGraphs } from './bench/graphs';
import { addKernels } from './bench/kernels';
import { addLatency } from './bench/latency';
import { addMasks } from './bench/masks';
import { addMemory } from './bench/memory';
import { addPeers } from './bench/peers';
import { addEmbedded, addQuality } from './bench/quality';
import { addReport } from './bench/report';
import { addScale } from './bench/scale';
import { addSpeed } from './bench/speed';

export function addBench(program: Command): void {
  const bench = program
    .command('bench')
    .description(
      'Measures methods, speed and memory. Without a further word: the quick form of quality on the ' +
        'embedded model.',
    );
  addEmbedded(bench);
  addQuality(bench);
  addMasks(bench);
  addKernels(bench);
  addMemory(bench);
  addGraphs(bench);
  addSpeed(bench);
  addLatency(bench);
  addScale(bench);
  addPeers(bench);
  addReport(bench);
}
