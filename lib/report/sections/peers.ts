/** The same prune by other programs, on the same tokens in the same run. */
import type { BenchContender, BenchPeers } from '../../documents/bench';
import { barChart } from '../charts/bars';
import { linearScale } from '../charts/ticks';
import { figure } from '../figure';
import { type Html, html } from '../html';
import {
  asked,
  data,
  grouped,
  mebibytes,
  percent,
  perplexity,
  short,
  time,
  times,
} from '../numbers';
import { number, table, words } from '../table';

export function peersSummary({ peers, overUseful }: BenchPeers): Html {
  return html`<p>${peers.map(
    ({ label, ratios }) =>
      html`${label} takes ${data(ratios.seconds, times)} our time${
        ratios.memory === null ? '' : html` and ${data(ratios.memory, times)} our memory`
      }. `,
  )}Our run takes ${data(overUseful, times)} the time that its useful work needs at the measured rates.</p>`;
}

export function peersFigures(peers: BenchPeers): Html {
  const all: BenchContender[] = [peers.ours, ...peers.peers];
  const title = `Pruning to ${asked(peers.sparsity)}`;
  return html`${figure({
    title,
    caption: 'Seconds from start to exit, as the system counts them, without evaluation.',
    chart: barChart({
      id: 'peers',
      title,
      description: `${all.length} bars. The numbers are in the tables below.`,
      categories: all.map(({ label }) => label),
      parts: [
        { name: 'seconds', color: 'var(--series-0)', values: all.map(({ seconds }) => seconds) },
      ],
      value: {
        name: 'seconds',
        scale: linearScale(0, Math.max(...all.map(({ seconds }) => seconds))),
        format: grouped,
      },
      labels: all.map(({ seconds }) => time(seconds)),
    }),
    tables: [contenderTable(peers), ...all.map(stageTable), usefulTable(peers)],
  })}`;
}

function contenderTable({ ours, peers }: BenchPeers): Html {
  return table({
    id: 'peers-table',
    caption:
      'Time and memory of each process, without evaluation where the program says what that took; ratios are theirs ÷ ours.',
    head: [
      'program',
      'time',
      'ratio',
      'peak memory',
      'ratio',
      'forward ÷ sgemm',
      'perplexity',
      'command',
    ],
    rows: [{ ...ours, ratios: null }, ...peers].map((one) => [
      one.label,
      number(one.seconds, time),
      number(one.ratios?.seconds, times),
      number(one.peakRssBytes, mebibytes),
      number(one.ratios?.memory, times),
      number(one.forwardShare, percent),
      number(one.perplexity, perplexity),
      words(one.command),
    ]),
  });
}

function stageTable({ label, stages }: BenchContender, i: number): Html | null {
  if (stages.length === 0) return null;
  return table({
    id: `peers-stages-${i}`,
    caption: `Stages of ${label}, as the program itself counts them.`,
    head: ['stage', 'time'],
    rows: stages.map(({ name, seconds }) => [name, number(seconds, time)]),
  });
}

function usefulTable({ useful }: BenchPeers): Html {
  return table({
    id: 'peers-useful',
    caption: 'Work that any program has to do, at the measured rates.',
    head: ['item', 'GFLOP', 'GFLOP/s', 'time'],
    rows: useful.map(({ item, flops, rate, seconds }) => [
      item,
      number(flops / 1e9, short),
      number(rate, short),
      number(seconds, time),
    ]),
  });
}
