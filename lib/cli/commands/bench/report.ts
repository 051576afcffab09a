import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { StruPruneError } from '../../../errors';
import { BENCH_QUALITY_DEFAULTS } from '../../flags/bench-quality';
import { BENCH_REPORT_EXTRAS } from '../../flags/bench-report';
import { addFlags } from '../../flags/flag';
import { print } from '../../output/print';
import { requireHtml } from '../../report-file';

/** Where benchmarks write by default. */
const FOLDER = BENCH_QUALITY_DEFAULTS.output;

export function addReport(bench: Command): void {
  const command = bench
    .command('report')
    .description('One HTML file of what several benchmarks have measured.')
    .argument(
      '[paths...]',
      `folders that benchmarks wrote into, or single .json files of theirs (default: ${FOLDER})`,
    )
    .action(async (given: string[], parsed: { output?: string }) => {
      const { readDocuments } = await import('../../../bench/join');
      const { benchReport } = await import('../../../reports');
      const { writeText } = await import('../../../checkpoint/atomic');
      const paths = given.length > 0 ? given : [usualFolder()];
      if (parsed.output !== undefined) requireHtml('output', parsed.output);
      const html = await benchReport(await readDocuments(paths));
      const [first] = paths;
      const folder = statSync(first!).isDirectory() ? first! : dirname(first!);
      const output = parsed.output ?? join(folder, 'report.html');
      await writeText(output, html, { replace: true });
      print(output);
    });
  addFlags(command, {}, {}, BENCH_REPORT_EXTRAS);
}

/** @throws StruPruneError ERR_NOT_FOUND */
function usualFolder(): string {
  if (existsSync(FOLDER)) return FOLDER;
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `no benchmark has been run here (no ${FOLDER})`,
    'run one, or name a folder',
  );
}
