import { licenceLines, licenceOf, licenceWords } from '../../../checkpoint/licence';
import { modelName, repoOfSnapshot } from '../../../model/name';
import { counted } from '../../../numbers';
import { markdown, yaml } from '../../../printable';
import type { GraphResult } from './result';

/** README.md of a folder with a pruned graph: where it comes from, under which terms, what it costs. `name`: of the graph in it. */
export function graphCard(
  folder: string,
  name: string,
  config: Record<string, unknown>,
  result: GraphResult,
): string {
  const licence = licenceOf({ format: 'hf', path: folder, config });
  const repo = repoOfSnapshot(folder);
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`;
  const { evaluation, losses } = result;
  const rows = [
    ['calibration', counted(result.calibrationSamples, 'sample')],
    ['parameters', `${result.parametersBefore} before, ${result.parametersAfter} after`],
    ['weights of maps removed', percent(result.sparsity)],
    ...(evaluation
      ? [['loss', `${evaluation.loss.toPrecision(3)} on ${counted(evaluation.samples, 'sample')}`]]
      : []),
    ...losses.map(({ output, kind }) => [`loss of ${output}`, `${kind}, to the dense graph`]),
    ['licence', licenceWords(licence)],
  ];
  return `${[
    '---',
    ...licenceLines(licence),
    ...(repo === null ? [] : [`base_model: ${yaml(repo)}`]),
    'library_name: transformers.js',
    'tags: [onnx, pruned, struprune]',
    '---',
    `# ${markdown(modelName(folder))}, pruned`,
    '',
    `A physically smaller graph (${markdown(name)}), made by struprune-native by structured pruning: whole units were removed, and`,
    'what reads them was refitted.',
    '',
    '| | |',
    '|---|---|',
    ...rows.map(([what, value]) => `| ${markdown(what!)} | ${markdown(value!)} |`),
    '',
    ...result.notes.map((note) => `- ${markdown(note)}`),
  ].join('\n')}\n`;
}
