import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { BENCH_FOLDER } from '../../../bench/options';
import { StruPruneError } from '../../../errors';
import { FLAGS } from '../../flags';
import { addFlags } from '../../flags/flag';
import { print } from '../../output/print';
import { requireHtml } from '../../report-file';

export function addReport(bench: Command): void {
  const command = bench
    .command('report')
    .description('One HTML file of what several benchmarks have measured.')
    .argument(
      '[paths...]',
      `folders that benchmarks wrote into, or single .json files of theirs (default: ${BENCH_FOLDER})`,
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
  addFlags(command, FLAGS['bench report']);
}

/** @throws StruPruneError ERR_NOT_FOUND */
function usualFolder(): string {
  if (existsSync(BENCH_FOLDER)) return BENCH_FOLDER;
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `no benchmark has been run here (no ${BENCH_FOLDER})`,
    'run one, or name a folder',
  );
}
