/** Folders as transformers.js has them: a graph with what goes with it. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { graphPlace, isGraph } from '../../../lib/checkpoint/graph-folder';
import { OnnxFile } from '../../../lib/models/graphs/onnx/file';
import { pruneGraph } from '../../../lib/prune-graph';

const FIXTURES = join(__dirname, '../../fixtures/graph-runs');
const GRAPH = join(FIXTURES, 'residual.onnx');
const calibration = join(FIXTURES, 'residual.inputs.safetensors');

const CONFIG = {
  model_type: 'resnet',
  hidden_sizes: [8],
  auto_map: { AutoModel: 'theirs.Model' },
  'transformers.js_config': {
    dtype: 'q8',
    use_external_data_format: { 'model.onnx': 2 },
    device_config: { wasm: { dtype: 'q8', free_dimension_overrides: { batch: 1 } } },
  },
};

function scratch(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-graph-folder-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function put(folder: string, files: Record<string, string | object>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  }
}

/** A folder of a model, and where the pruned one goes. */
function folders(t: ExecutionContext, graph = 'onnx/model.onnx') {
  const around = scratch(t);
  const folder = join(around, 'model');
  put(folder, {
    'config.json': CONFIG,
    'preprocessor_config.json': { size: 8, auto_map: { AutoImageProcessor: 'theirs.P' } },
    'tokenizer.json': '{"model": {"auto_map": 1}}',
    LICENSE: 'terms',
    'README.md': '---\nlicense: mit\n---\n# theirs\n',
    'theirs.py': 'raise SystemExit',
    'onnx/model_quantized.onnx': 'other',
  });
  cpSync(GRAPH, join(folder, graph));
  return { around, folder, output: join(around, 'pruned') };
}

const read = (folder: string, name: string) => readFileSync(join(folder, name), 'utf8');
const json = (folder: string, name: string) => JSON.parse(read(folder, name));

test('a folder in, a folder out: the pruned graph, its configuration and what goes with it', async (t) => {
  const { around, folder, output } = folders(t);
  const alone = join(around, 'alone.onnx');
  const told: string[] = [];
  const options = { sparsity: 0.3, calibration, threads: 1 };
  await pruneGraph(GRAPH, { ...options, output: alone });
  const result = await pruneGraph(folder, {
    ...{ ...options, output },
    onWarning: (warning) => told.push(warning),
  });
  t.deepEqual(readdirSync(output, { recursive: true, encoding: 'utf8' }).sort(), [
    '.struprune-manifest.json',
    'LICENSE',
    'README.md',
    'config.json',
    'onnx',
    'onnx/model.onnx',
    'preprocessor_config.json',
    'tokenizer.json',
  ]);
  t.deepEqual(readFileSync(join(output, 'onnx/model.onnx')), readFileSync(alone));
  t.is(read(output, 'tokenizer.json'), read(folder, 'tokenizer.json'));
  t.deepEqual(json(output, 'preprocessor_config.json'), { size: 8 });
  t.deepEqual(json(output, 'config.json'), {
    model_type: 'resnet',
    hidden_sizes: [8],
    'transformers.js_config': {
      dtype: 'fp32',
      device_config: { wasm: { free_dimension_overrides: { batch: 1 } } },
    },
  });
  t.regex(read(output, 'README.md'), /^---\nlicense: mit\n/);
  t.is(told.length, 1);
  t.regex(told[0]!, /auto_map of config.json, auto_map of preprocessor_config.json$/);
  t.deepEqual(result.notes, [
    'graphs that were not pruned are not in the output, make them of the pruned one: onnx/model_quantized.onnx',
  ]);
  t.is(result.bytesAfter, readFileSync(alone).length);
  t.false(existsSync(`${output}.struprune-journal`));
  // What is there is replaced only as a folder of this program's.
  await t.throwsAsync(pruneGraph(folder, { ...options, output }), { code: 'ERR_OUTPUT' });
  await pruneGraph(folder, { ...options, output, force: true });
  writeFileSync(join(output, 'mine'), '');
  await t.throwsAsync(pruneGraph(folder, { ...options, output, force: true }), {
    code: 'ERR_OUTPUT',
    message: /what this program did not write/,
  });
});

test('data beside the graph have the name that browsers ask for', async (t) => {
  const { folder, output } = folders(t, 'model.onnx');
  using file = OnnxFile.open(GRAPH);
  const bytes: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of file.model.graph!.initializer) {
    const data = file.data(tensor);
    const read = data.read(0, data.length);
    bytes.push(read);
    tensor.rawData = new Uint8Array();
    tensor.dataLocation = 1;
    tensor.externalData = Object.entries({ location: 'weights', offset, length: read.length }).map(
      ([key, value]) => ({ $typeName: 'onnx.StringStringEntryProto', key, value: String(value) }),
    );
    offset += read.length;
  }
  writeFileSync(join(folder, 'weights'), Buffer.concat(bytes));
  await file.write(join(folder, 'model.onnx'), { replace: true });
  const { bytesAfter } = await pruneGraph(folder, { output, sparsity: 0.3, calibration });
  t.deepEqual(
    readdirSync(output).filter((name) => name.includes('onnx')),
    ['model.onnx', 'model.onnx_data'],
  );
  t.true(json(output, 'config.json')['transformers.js_config'].use_external_data_format);
  using pruned = OnnxFile.open(join(output, 'model.onnx'));
  t.is(pruned.bytes, bytesAfter);
  const [first] = pruned.model.graph!.initializer;
  t.deepEqual(first!.externalData.find(({ key }) => key === 'location')!.value, 'model.onnx_data');
});

test('a stopped run over a folder goes on, and leaves no other', async (t) => {
  const { folder, output } = folders(t);
  const options = { sparsity: 0.4, calibration, threads: 1, output };
  const stop = new AbortController();
  const reason = new Error('stopped');
  const run = pruneGraph(folder, {
    ...{ ...options, signal: stop.signal },
    onProgress: ({ stage, done }) => {
      if (stage === 'solve' && done === 1) stop.abort(reason);
    },
  });
  t.is(await t.throwsAsync(run), reason);
  t.false(existsSync(output));
  const { resumedSites } = await pruneGraph(folder, { ...options, resume: true });
  t.is(resumedSites, 1);
  t.true(existsSync(join(output, 'onnx/model.onnx')));
});

test('which path leads to a graph, and what is written of it', (t) => {
  const { folder, output } = folders(t);
  const [model, name] = [join(folder, 'onnx/model.onnx'), 'onnx/model.onnx'];
  t.true(isGraph(folder));
  t.deepEqual(graphPlace(folder, output), { model, folder: { path: folder, name } });
  t.deepEqual(graphPlace(folder, 'small.onnx'), { model, folder: null });
  t.deepEqual(graphPlace(model, 'small.onnx'), { model, folder: null });
  // Weights of a checkpoint go first; the graph beside them is called by its own path.
  put(folder, { 'model.safetensors': '' });
  t.false(isGraph(folder));
  t.true(isGraph(model));
  t.deepEqual(graphPlace(model, output), { model, folder: { path: folder, name } });
  const quantized = join(folder, 'onnx/model_quantized.onnx');
  t.is(graphPlace(quantized, output).folder!.name, 'onnx/model_quantized.onnx');
  t.throws(() => graphPlace(GRAPH, output), { message: /is no .onnx file/ });
  t.throws(() => graphPlace(model, 'small.gguf'), { message: /small.gguf is no .onnx file/ });
  rmSync(model);
  t.throws(() => graphPlace(folder, output), {
    code: 'ERR_ARGUMENT',
    message: /no onnx\/model.onnx and no model.onnx; give the graph itself: .*model_quantized.onnx/,
  });
  t.throws(() => graphPlace(join(folder, 'none'), output), { code: 'ERR_ARGUMENT' });
});

test('what is no file of the folder is refused before work', async (t) => {
  const { around, folder, output } = folders(t);
  put(around, { 'secret.json': {} });
  for (const name of ['config.json', 'preprocessor_config.json', 'LICENSE']) {
    const kept = read(folder, name);
    rmSync(join(folder, name));
    symlinkSync(join(around, 'secret.json'), join(folder, name));
    await t.throwsAsync(pruneGraph(folder, { output, sparsity: 0.3, calibration }), {
      code: 'ERR_CHECKPOINT',
      message: /is a link to/,
    });
    rmSync(join(folder, name));
    put(folder, { [name]: kept });
  }
  t.deepEqual(readdirSync(around).sort(), ['model', 'secret.json']);
});
