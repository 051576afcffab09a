import type { Command } from 'commander';
import type { PeersOptions } from '../../../bench/peers/options';
import { BENCH_PEERS_DEFAULTS, BENCH_PEERS_FLAGS } from '../../flags/bench-peers';
import { BENCH_EXTRAS } from '../../flags/bench-quality';
import { addFlags, optionsFrom } from '../../flags/flag';
import { peersReport } from '../../output/bench-peers-report';
import { runWithProgress } from '../../terminal/run';
import { deliver } from './deliver';

export function addPeers(bench: Command): void {
  const command = bench
    .command('peers')
    .description(
      'Time and memory of a whole prune against a torch program, or programs of your own.',
    )
    .argument('<model>', 'Hugging Face folder or .gguf file')
    .action(async (model: string, parsed: Record<string, unknown>) => {
      const { benchPeers } = await import('../../../bench/peers/run');
      const options = optionsFrom<PeersOptions>(BENCH_PEERS_FLAGS, parsed);
      const folder = options.output ?? BENCH_PEERS_DEFAULTS.output;
      const json = parsed.json === true;
      await deliver({ folder, name: 'peers', json, report: peersReport }, () =>
        runWithProgress((callbacks) => benchPeers(model, { ...options, ...callbacks })),
      );
    });
  addFlags(command, BENCH_PEERS_FLAGS, BENCH_PEERS_DEFAULTS, BENCH_EXTRAS);
}
