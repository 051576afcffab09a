import type { BenchContender, BenchDocument } from '../../documents/bench';
import { duration, mebibytes, percent, short } from '../../numbers';
import { table } from './table';

export function peersReport({ peers: section }: BenchDocument): string {
  const { ours, peers, useful, overUseful, sparsity, model } = section!;
  const head = ['', 'time', '÷ ours', 'peak', '÷ ours', 'perplexity', 'forward'];
  const row = (one: BenchContender, seconds: string, memory: string) => [
    one.label,
    duration(one.seconds),
    seconds,
    one.peakRssBytes === null ? '-' : mebibytes(one.peakRssBytes),
    memory,
    one.perplexity === null ? '-' : one.perplexity.toFixed(3),
    one.forwardShare === null ? '-' : `${percent(one.forwardShare)} of its sgemm`,
  ];
  const factor = (value: number | null) => (value === null ? '-' : `×${value.toFixed(2)}`);
  const rows = [
    row(ours, '', ''),
    ...peers.map((peer) => row(peer, factor(peer.ratios.seconds), factor(peer.ratios.memory))),
  ];
  const work = useful.map(({ item, flops, rate, seconds }) => [
    item,
    `${short(flops / 1e9)} GFLOP`,
    `${rate.toFixed(0)} GFLOP/s`,
    `${seconds.toFixed(1)} s`,
  ]);
  return [
    `${model.name}, ${percent(sparsity)} of the blocks' linear weights, FFN channels`,
    table([head, ...rows], ['left', 'right', 'right', 'right', 'right', 'right', 'right']),
    table(work, ['left', 'right', 'right', 'right']),
    `this program took ${factor(overUseful)} of what its useful work needs at the measured rates`,
  ].join('\n\n');
}
