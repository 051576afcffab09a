import type { Flag } from './flag';

export const BENCH_REPORT_EXTRAS: readonly Flag[] = [
  {
    flag: '-o, --output <file>',
    help: 'the HTML file, instead of report.html in the first folder; an earlier one is replaced',
    group: 'Output',
  },
];
