import type { Command } from 'commander';
import { BENCH_FOLDER } from '../../../bench/options';
import { writeBench } from '../../../bench/output';
import type { QualityOptions } from '../../../bench/quality/options';
import type { BenchDocument } from '../../../documents/bench';
import { EMBEDDED_WINDOW, embeddedModel } from '../../../embedded';
import { FLAGS } from '../../flags';
import { addFlags, optionsFrom } from '../../flags/flag';
import { qualityReport } from '../../output/bench-quality-report';
import { tell, warn } from '../../output/print';
import { runWithProgress } from '../../terminal/run';
import { MODEL_HELP } from '../model-argument';
import { deliver } from './deliver';

export function addQuality(bench: Command): void {
  const command = bench
    .command('quality')
    .description(
      'Perplexity, distance to the dense model, sizes and times of every method, side by side.',
    )
    .argument('<model>', MODEL_HELP)
    .action((model: string, parsed: Record<string, unknown>) =>
      runQuality(model, optionsFrom<QualityOptions>(FLAGS['bench quality'], parsed), {
        json: parsed.json === true,
      }),
    );
  addFlags(command, FLAGS['bench quality']);
}

/** Plain `bench`: the quick form on the embedded model. */
export function addEmbedded(bench: Command): void {
  bench.action((parsed: Record<string, unknown>) => {
    const given = optionsFrom<QualityOptions>(FLAGS.bench, parsed);
    const options = { ...given, quick: true, window: EMBEDDED_WINDOW };
    return runQuality(embeddedModel(), options, { json: parsed.json === true });
  });
  bench.enablePositionalOptions();
  addFlags(bench, FLAGS.bench);
}

async function runQuality(
  model: string,
  options: QualityOptions,
  output: { json: boolean },
): Promise<void> {
  const { benchQuality } = await import('../../../bench/quality/run');
  const folder = options.output ?? BENCH_FOLDER;
  const onUnfinished = async (document: BenchDocument) => {
    const files = await writeBench(folder, 'quality', document);
    tell(`what there is so far: ${files.at(-1)}; the same command goes on`);
  };
  await deliver({ ...output, folder, name: 'quality', report: qualityReport }, async () => {
    const document = await runWithProgress(({ signal, onProgress, onNotice }) =>
      benchQuality(model, { ...options, signal, onProgress, onNotice, onUnfinished }),
    );
    for (const warning of document.quality!.warnings) warn(warning);
    return document;
  });
}
