/** Machine, versions, seed and the command that makes the report again. */
import type { BenchDocument, BenchMachine, BenchMethod, BenchText } from '../../documents/bench';
import { counted } from '../../numbers';
import { type Html, html, type Part } from '../html';
import { bytes, data, grouped, short, time } from '../numbers';
import { number, table, words } from '../table';

export type Origin = Pick<
  BenchDocument,
  'date' | 'seconds' | 'command' | 'machine' | 'versions' | 'seed' | 'settings'
>;

/** `prefix`: of ids, where a page has several of these. */
export function originBody(origin: Origin, more: Part = null, prefix = ''): Html {
  const { date, seconds, command, machine, versions, seed, settings } = origin;
  return html`<p>This command makes it again:</p>
<pre>${command}</pre>
${facts([
  [
    'Made',
    html`<time datetime="${date}">${date.replace('T', ' ').replace(/\.\d+Z$/, ' UTC')}</time>, in ${data(seconds, time)}`,
  ],
  ['struprune-native', versions.struprune],
  ['Node.js', versions.node.replace(/^v/, '')],
  ['Seed', String(seed)],
  ...machineFacts(machine),
])}
${more}
<div class="card"><details><summary>Settings</summary>
${table({
  id: `${prefix}settings-table`,
  caption: 'Settings in effect, defaults included; sizes in bytes.',
  head: ['setting', 'value'],
  rows: Object.entries(settings).map(([key, value]) => [key, words(settingText(value), 'wrap')]),
})}
</details></div>`;
}

export function facts(entries: readonly (readonly [string, Part])[]): Html {
  return html`<dl class="plain">${entries.map(
    ([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`,
  )}</dl>`;
}

function machineFacts(machine: BenchMachine): (readonly [string, Part])[] {
  const { sgemmRate, dgemmRate, bandwidth, gemmPath } = machine;
  const { calibrationPath = gemmPath, searchPath = calibrationPath } = machine;
  const paths = [
    gemmPath,
    ...(calibrationPath === gemmPath ? [] : [`calibration by ${calibrationPath}`]),
    ...(searchPath === calibrationPath ? [] : [`searches by ${searchPath}`]),
  ];
  const rates = [
    ...(sgemmRate === null ? [] : [html`${data(sgemmRate, short)} GFLOP/s single`]),
    ...(dgemmRate === null ? [] : [html`${data(dgemmRate, short)} GFLOP/s double`]),
    ...(bandwidth === null ? [] : [html`${data(bandwidth, short)} GB/s copies`]),
  ];
  return [
    [
      'Processor',
      `${machine.cpu}, ${counted(machine.cores, 'core')}, ${counted(machine.threads, 'thread')} used`,
    ],
    ['Device', machine.device === 'cpu' ? 'the processor' : machine.device],
    ['Memory', data(machine.memoryBytes, bytes)],
    ['System', machine.system],
    ['BLAS', `${machine.blas}; products by ${paths.join(', ')}`],
    ...(rates.length === 0
      ? []
      : ([['Measured rates', rates.map((rate, i) => html`${i > 0 ? ', ' : ''}${rate}`)]] as const)),
  ];
}

function settingText(value: unknown): string {
  if (value === null || value === undefined) return 'not set';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What every word of the charts stands for. */
export function methodsTable(methods: readonly BenchMethod[]): Html {
  return html`<div class="card"><details><summary>Methods</summary>
${table({
  id: 'methods-table',
  caption: 'Options are those of prune() that differ from the defaults.',
  head: ['method', 'name', 'kind', 'what it is', 'options'],
  rows: methods.map(({ id, label, kind, about, options }) => [
    label,
    words(id),
    words(kind),
    words(about, 'wrap'),
    words(
      Object.entries(options)
        .map(([key, value]) => `${key}: ${settingText(value)}`)
        .join(', '),
    ),
  ]),
})}
</details></div>`;
}

export function textsTable(texts: readonly (BenchText & { use: string })[], prefix = ''): Html {
  return html`<div class="card"><details><summary>Texts</summary>
${table({
  id: `${prefix}texts-table`,
  caption: 'Whole windows of the first tokens of each text.',
  head: ['text', 'use', 'tokens', 'window', 'SHA-256'],
  rows: texts.map(({ name, use, tokens, window, sha256 }) => [
    name,
    words(use),
    number(tokens, grouped),
    number(window, grouped),
    words(html`<code>${sha256}</code>`),
  ]),
})}
</details></div>`;
}
