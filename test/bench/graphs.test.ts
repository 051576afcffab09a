/** `bench graphs` on a small graph: equal sizes, and losses that onnxruntime itself gives. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { benchGraphs } from '../../lib/bench/graphs/run';
import { sliceByNorm } from '../../lib/bench/graphs/slice-by-norm';
import { benchSchema } from '../../lib/documents/bench';
import { pruneGraph } from '../../lib/prune-graph';
import { benchReport } from '../../lib/reports';
import { run, scratch } from '../cli/run';
import { numbersOf } from '../report/page';
import { soundPage } from '../report/sound';

const FIXTURES = join(__dirname, '../fixtures/graph-runs');
const MODEL = join(FIXTURES, 'residual.onnx');
const INPUTS = join(FIXTURES, 'residual.inputs.safetensors');

/** Of a sample of 9 × 8 values: output positions of each convolution times its elements, and the product's. */
const MULTIPLY_ADDS = 72 * (8 * 2 * 9 + 8 * 8 * 9 + 8 * 8) + 5 * 7 * (8 * 8 * 6) + 5 * 8;

test('a prune and a slice of as many parameters, against the dense graph', async (t) => {
  const document = await benchGraphs(MODEL, {
    ...{ calibration: INPUTS, eval: INPUTS, sparsities: [0.3, 0.5], repeats: 1, threads: 1 },
    scratch: await scratch(t),
  });
  t.notThrows(() => benchSchema.parse(document));
  t.notRegex(document.command, /--rivals|--scratch/);
  const { dense, rows, evaluationSamples } = document.graphs!;
  t.is(evaluationSamples, 48);
  t.is(dense.multiplyAdds, MULTIPLY_ADDS);
  t.is(dense.loss, 0);
  t.deepEqual(
    rows.map(({ method, sparsity }) => [method, sparsity]),
    [
      ['refit', 0.3],
      ['slice-l2', 0.3],
      ['refit', 0.5],
      ['slice-l2', 0.5],
    ],
  );
  for (const sparsity of [0.3, 0.5]) {
    const [ours, sliced] = rows.filter((row) => row.sparsity === sparsity);
    t.true(ours!.weights <= (1 - sparsity) * dense.weights);
    t.true(sliced!.parameters <= ours!.parameters);
    t.true(ours!.multiplyAdds < dense.multiplyAdds);
    t.true(ours!.loss > 0 && ours!.loss < sliced!.loss, `${ours!.loss}, ${sliced!.loss}`);
  }
  const page = await benchReport(document);
  soundPage(t, page);
  t.deepEqual(
    numbersOf(page, 'graph-rows').map(([, [, parameters]]) => parameters),
    [dense, ...rows].map(({ parameters }) => parameters),
  );
});

test('a graph that others made is measured like ours; one of other inputs is refused', async (t) => {
  const folder = await scratch(t);
  const rival = join(folder, 'theirs.onnx');
  t.true(await sliceByNorm(MODEL, rival, 850));
  const options = { calibration: INPUTS, eval: INPUTS, sparsities: [0.3], repeats: 1, threads: 1 };
  const document = await benchGraphs(MODEL, {
    ...{ ...options, scratch: folder, rivals: [rival], output: folder, keepModels: true },
  });
  t.notThrows(() => benchSchema.parse(document));
  const { dense, rows } = document.graphs!;
  const [, sliced, theirs] = rows;
  t.is(rows.length, 3);
  t.deepEqual([theirs!.method, theirs!.name, theirs!.pruneSeconds], ['rival', 'theirs', null]);
  t.true(theirs!.parameters <= 850 && theirs!.parameters > 750);
  t.is(theirs!.fileBytes, statSync(rival).size);
  t.is(theirs!.sparsity, 1 - theirs!.weights / dense.weights);
  t.true(document.command.endsWith(` --threads 1 --rivals ${rival}`));
  // The same slice by its own path is the same row.
  const again = await benchGraphs(MODEL, {
    ...{ ...options, scratch: folder, rivals: [join(folder, 'models/slice-l2-0.3.onnx')] },
  });
  const { loss, parameters, multiplyAdds } = again.graphs!.rows[2]!;
  t.deepEqual(
    [loss, parameters, multiplyAdds],
    [...[sliced!.loss, sliced!.parameters, sliced!.multiplyAdds]],
  );
  const page = await benchReport(document);
  soundPage(t, page);
  t.true(page.includes('theirs'));
  t.is(numbersOf(page, 'graph-speed-table').length, 1, 'of ours alone');
  const other = join(FIXTURES, 'attention.onnx');
  await t.throwsAsync(benchGraphs(MODEL, { ...options, scratch: folder, rivals: [other] }), {
    code: 'ERR_ARGUMENT',
    message: /attention\.onnx reads .*, where the model reads /,
  });
});

test('as a user runs it', async (t) => {
  const folder = await scratch(t);
  const { code, stdout, stderr } = await run([
    ...['bench', 'graphs', MODEL, '--calibration', INPUTS, '--eval', INPUTS, '-o', folder],
    ...['--sparsities', '0.5', '--repeats', '1', '--threads', '1', '--keep-models'],
    ...['--allocation', 'uniform', '--multiple', '4'],
  ]);
  t.is(code, 0, stderr);
  t.regex(stdout, /residual.onnx on 48 samples; loss of \w+: /);
  t.regex(stdout, /^pruned and refitted +50.0 %/m);
  t.regex(stdout, /graphs\.html/);
  const { graphs } = JSON.parse(readFileSync(join(folder, 'graphs.json'), 'utf8'));
  for (const { method, sparsity, fileBytes } of graphs.rows) {
    t.is(statSync(join(folder, 'models', `${method}-${sparsity}.onnx`)).size, fileBytes);
  }
  // It is what prune writes with the same options.
  const output = join(folder, 'alike.onnx');
  const alike = { allocation: 'uniform', multiple: 4, threads: 1 } as const;
  await pruneGraph(MODEL, { output, sparsity: 0.5, calibration: INPUTS, ...alike });
  t.deepEqual(readFileSync(join(folder, 'models/refit-0.5.onnx')), readFileSync(output));
});
