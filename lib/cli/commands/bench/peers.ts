import type { Command } from 'commander';
import type { PeersOptions } from '../../../bench/peers/options';
import { FLAGS } from '../../flags';
import { peersReport } from '../../output/bench-peers-report';
import { addModelBench } from './model-bench';

export function addPeers(bench: Command): void {
  addModelBench<PeersOptions>(bench, {
    name: 'peers',
    description:
      'Time and memory of a whole prune against a torch program, or programs of your own.',
    flags: FLAGS['bench peers'],
    report: peersReport,
    load: async () => (await import('../../../bench/peers/run')).benchPeers,
  });
}
