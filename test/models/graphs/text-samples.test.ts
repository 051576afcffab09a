/** Graphs that read tokens are calibrated on a text, by the tokenizer beside them. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import test, { type ExecutionContext } from 'ava';
import { ValueInfoProtoSchema } from '../../../lib/models/graphs/onnx/onnx_pb';
import { infoOf } from '../../../lib/models/graphs/run/batches';
import { pruneGraph } from '../../../lib/prune-graph';
import { framedWindows } from '../../../lib/tokenizer/framed';
import { model, node, tensor, value } from './models';

const TOKENIZER = join(__dirname, '../../tokenizer/encoders/uncased/tokenizer.json');
const INT64 = 7;
const TEXT = 'The river rises in the hills, and runs for 120 miles to the sea. '.repeat(60);
const HIDDEN = 8;

/** Means over what is not masked of a table's rows behind two products. */
function encoder(inputs: string[], length: number | string = 'length') {
  const constant = (name: string, dims: number[]) => {
    const made = tensor(name, dims);
    const values = new Float32Array(made.rawData.buffer);
    values.forEach((_, i) => {
      values[i] = Math.cos(7 * i * i);
    });
    return made;
  };
  return model({
    input: inputs.map((name) => infoOf(name, INT64, ['batch', length])),
    output: [create(ValueInfoProtoSchema, value('embedding', ['batch', 'length', HIDDEN]))],
    initializer: [
      ...[constant('table', [300, HIDDEN]), constant('kinds', [2, HIDDEN])],
      ...[constant('a', [HIDDEN, 12]), constant('b', [12, HIDDEN])],
    ],
    node: [
      ...[node('Gather table input_ids -> words'), node(`Gather kinds ${inputs.at(-1)} -> kind`)],
      ...[node('Add words kind -> sum'), node('MatMul sum a -> wide'), node('Relu wide -> relu')],
      node('MatMul relu b -> embedding'),
    ],
  });
}

/** A folder as transformers.js has it. */
function folderOf(t: ExecutionContext, bytes: Uint8Array) {
  const folder = mkdtempSync(join(tmpdir(), 'struprune-text-samples-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'onnx'));
  const at = (name: string) => join(folder, name);
  writeFileSync(at('onnx/model.onnx'), bytes);
  copyFileSync(TOKENIZER, at('tokenizer.json'));
  writeFileSync(at('text.txt'), TEXT);
  return { at, path: at('onnx/model.onnx'), output: at('small.onnx'), text: at('text.txt') };
}

const INPUTS = ['input_ids', 'attention_mask', 'token_type_ids'];

test('windows of a text calibrate and measure', async (t) => {
  const { path, output, text } = folderOf(t, encoder(INPUTS));
  const options = {
    output,
    sparsity: 0.25,
    calibration: text,
    eval: text,
    force: true,
    threads: 1,
  };
  const tokens = { calibrationTokens: 700, evalTokens: 700, window: 32 };
  const result = await pruneGraph(path, { ...options, ...tokens });
  t.deepEqual([result.calibrationSamples, result.evaluation!.samples], [21, 21]);
  t.is(result.sites[0]!.after < 12, true);
  const { evaluation } = await pruneGraph(path, { ...options, evalTokens: 256 });
  t.is(evaluation!.samples, 2, 'of 128 tokens each');
  const whole = await pruneGraph(path, { ...options, calibrationTokens: 256 });
  const all = { parts: [TEXT], folder: dirname(TOKENIZER), window: 128, most: 1000 };
  t.is(whole.evaluation!.samples, framedWindows(all).length / 128);
});

test('without --calibration a text of the package does', async (t) => {
  const { path, output } = folderOf(t, encoder(['input_ids', 'token_type_ids'], 16));
  const result = await pruneGraph(path, { output, sparsity: 0.25, calibrationTokens: 64 });
  t.is(result.calibrationSamples, 4, 'of the length that the graph states');
});

test('what cannot be made of a text is refused before any work', async (t) => {
  const refused = async (
    bytes: Uint8Array,
    message: RegExp,
    more: (folder: ReturnType<typeof folderOf>) => object,
  ) => {
    const folder = folderOf(t, bytes);
    const options = { output: folder.output, sparsity: 0.25, ...more(folder) };
    await t.throwsAsync(pruneGraph(folder.path, options), { message });
  };
  const pixels = model({
    input: [value('x', ['batch', 6])],
    output: [value('y', ['batch', 3])],
    initializer: [tensor('a', [6, 8]), tensor('c', [8, 3])],
    node: [node('MatMul x a -> p'), node('Relu p -> r'), node('MatMul r c -> y')],
  });
  await refused(pixels, /nothing says what .*model\.onnx reads; give (--)?calibration/, () => ({}));
  await refused(encoder(INPUTS, 16), /window is 32, and the graph reads 16 tokens/, ({ text }) => ({
    calibration: text,
    window: 32,
  }));
  await refused(encoder(INPUTS), /window has no effect: .*x\.npz has samples/, ({ at }) => ({
    calibration: at('x.npz'),
    window: 32,
  }));
  await refused(encoder(INPUTS), /fewer than a window of 510/, ({ at }) => {
    writeFileSync(at('short.txt'), 'the sea');
    return { calibration: at('short.txt'), window: 512 };
  });
});
