/** An encoder pruned beside what Torch-Pruning 1.6.1 makes of it: as many parameters, the same sentences, no training. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { embeddedTexts } from '../../lib/embedded';
import { OnnxFile } from '../../lib/models/graphs/onnx/file';
import { relate } from '../../lib/models/graphs/relate';
import { Counts } from '../../lib/models/graphs/run/counts';
import { lossesOf } from '../../lib/models/graphs/run/losses';
import { compare } from '../../lib/models/graphs/run/measured';
import { Runtime } from '../../lib/models/graphs/run/runtime';
import { Samples } from '../../lib/models/graphs/run/samples';
import { pruneGraph } from '../../lib/prune-graph';
import { isLong } from '../long';

const work = mkdtempSync(join(tmpdir(), 'struprune-graph-rivals-'));
test.after.always(() => rmSync(work, { recursive: true, force: true }));

const { STRUPRUNE_GRAPH_ORACLES, STRUPRUNE_ORACLES, STRUPRUNE_ENCODER } = process.env;
const env = { ...process.env, PYTHONPATH: `${STRUPRUNE_GRAPH_ORACLES}:${STRUPRUNE_ORACLES}` };

function python(script: string, ...args: string[]): string {
  return execFileSync('python3', [join(__dirname, script), ...args], { env, encoding: 'utf8' });
}

const run = isLong ? test.serial : test.serial.skip;

run('Torch-Pruning loses more of an encoder of sentences, by norms and by gradients', async (t) => {
  t.timeout(1_800_000);
  const names = ['encoder.onnx', 'calibration', 'held-out', 'ours.onnx'];
  const [model, calibration, held, ours] = names.map((name) => join(work, name)) as [
    string,
    string,
    string,
    string,
  ];
  const texts = embeddedTexts();
  python('graph_sentences.py', STRUPRUNE_ENCODER!, model);
  python('graph_sentences.py', STRUPRUNE_ENCODER!, calibration, texts.calibration, '512');
  python('graph_sentences.py', STRUPRUNE_ENCODER!, held, texts.evaluation, '256');
  const result = await pruneGraph(model, { output: ours, sparsity: 0.3, calibration, eval: held });
  // Of the constants some are whole numbers, which are no parameters there.
  const most = String(result.parametersAfter - 738);
  const said = python('graph_torch_pruning.py', STRUPRUNE_ENCODER!, calibration, most, work);
  t.log(JSON.parse(said));

  using file = OnnxFile.open(model);
  const network = relate(file);
  const runtime = new Runtime(2, work);
  using samples = await Samples.open(held, network.graph, runtime);
  for (const rival of ['l2', 'taylor']) {
    const path = join(work, `${rival}.onnx`);
    using small = OnnxFile.open(path);
    const { parameters } = new Counts(relate(small), []).after();
    const { loss } = await compare([model, path], samples, lossesOf(network), {
      runtime,
      room: { memory: 0, scratch: work },
      between: () => {},
    });
    t.log(
      `${rival}: 1 - cosine ${loss}, ours ${result.evaluation!.loss}; ${parameters} parameters`,
    );
    t.true(parameters <= result.parametersAfter && parameters > 0.99 * result.parametersAfter);
    t.true(loss > 2 * result.evaluation!.loss);
  }
});
