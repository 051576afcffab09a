/** --target-speed: widths priced by a table of times, which is the test's own; `bench latency`, which makes one. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { benchLatency } from '../../lib/bench/latency/run';
import { writeBench } from '../../lib/bench/output';
import { openGguf } from '../../lib/checkpoint/gguf-model';
import type { BenchDocument, BenchLatency } from '../../lib/documents/bench';
import { StruPruneError } from '../../lib/errors';
import { plan } from '../../lib/plan';
import { prune } from '../../lib/prune';
import type { PruneResult } from '../../lib/pruning/result';
import { fakeRuntime } from '../bench/fake-runtime';
import { CALIBRATION_IDS, workspace } from './models';

const work = workspace();
test.after.always(() => work.remove());

const quick = { promptTokens: 24, generatedTokens: 4, repeats: 2, threads: 1 };
const asked = {
  calibration: CALIBRATION_IDS,
  calibrationTokens: 512,
  window: 64,
  threads: 1,
} as const;

let measured: Promise<BenchDocument> | undefined;

/** A document of the model, made once, with other times in it. */
async function table(model: string, change: (latency: BenchLatency) => void): Promise<string> {
  measured ??= benchLatency(model, { ...quick, runtime: fakeRuntime(work.emptyFolder()) });
  const document = structuredClone(await measured);
  change(document.latency!);
  const path = work.path('latency.json');
  writeFileSync(path, JSON.stringify(document));
  return path;
}

/** Every block spares so much of `whole` milliseconds for a group less. */
const linear =
  (each: Record<string, number>, whole = 10) =>
  (latency: BenchLatency) => {
    const blocks = latency.model.blocks;
    latency.dense = { prompt: whole / 1e3, generation: whole / 1e3 };
    for (const row of latency.rows) {
      const gone = latency.units[row.site]! - row.units;
      row.prompt = (whole - blocks * each[row.site]! * gone) / 1e3;
      row.generation = row.prompt;
    }
  };

/** Milliseconds that the result spares by the numbers of groups that went. */
function spared({ layers }: PruneResult, each: Record<string, number>): number {
  return layers.reduce((sum, { ffnBefore, ffnAfter, kvHeadsBefore, kvHeadsAfter }) => {
    const ffn = each.ffn! * (ffnBefore - ffnAfter);
    return sum + ffn + each.attention! * (kvHeadsBefore - kvHeadsAfter);
  }, 0);
}

test.serial('bench latency times every kind of site at a few widths in llama.cpp', async (t) => {
  const folder = work.emptyFolder();
  const model = work.model('llama3');
  const document = await benchLatency(model, { ...quick, runtime: fakeRuntime(folder) });
  const { rows, units, dense, runtime } = document.latency!;
  t.is(runtime, 'node-llama-cpp 3.0.0');
  t.true(dense.prompt > 0 && dense.generation! > 0);
  t.deepEqual(Object.keys(units).toSorted(), ['attention', 'ffn']);
  t.true(rows.filter(({ site }) => site === 'ffn').length >= 3);
  // What the runtime saw: dense and narrow in turn, each narrow one of the width that its row names.
  const seen = readdirSync(join(folder, 'seen'));
  t.is(seen.length, 2 * rows.length);
  for (const [i, { site, units: kept }] of rows.entries()) {
    const { architecture } = await openGguf(join(folder, 'seen', `${2 * i + 1}.gguf`));
    for (const { ffn, kvHeads } of architecture.blocks) {
      t.is(ffn, site === 'ffn' ? kept : units.ffn!);
      t.is(kvHeads, site === 'attention' ? kept : units.attention!);
    }
  }
  const out = work.path('out');
  const files = await writeBench(out, 'latency', document);
  t.is(files.length, 3);
  t.is(readFileSync(join(out, 'latency.csv'), 'utf8').trim().split('\n').length, rows.length + 2);
});

test.serial('without llama.cpp the prompt is timed here, of the folder itself', async (t) => {
  const { latency } = await benchLatency(work.model('llama3'), { ...quick });
  t.regex(latency!.runtime, /^struprune-native/);
  t.true(latency!.rows.every(({ prompt, generation }) => prompt > 0 && generation === null));
});

test.serial(
  'the result is as fast as asked by the table, and no faster than a step more',
  async (t) => {
    const model = work.model('llama3');
    for (const each of [
      { ffn: 0.02, attention: 0.4 },
      { ffn: 0.005, attention: 1.2 },
    ]) {
      const latency = await table(model, linear(each));
      for (const allocation of ['threshold', 'energy', 'uniform'] as const) {
        const output = work.path('out');
        const options = { ...asked, output, targetSpeed: 1.25, latency, allocation };
        const result = await prune(model, { ...options, tuneTokens: 0, scope: 'all' });
        const times = 10 / (10 - spared(result, each));
        t.true(times >= 1.25, `${allocation}: ${times}`);
        // One step of the coarsest site: a KV head in one block, or of all where widths are the same.
        const step = Math.max(each.attention, 8 * each.ffn) * (allocation === 'uniform' ? 2 : 1);
        t.true(spared(result, each) < 2 + step + 1e-9, `${allocation}: ${spared(result, each)}`);
        const note = `by the times of widths in node-llama-cpp 3.0.0 it writes tokens ${times.toFixed(2)} times`;
        t.true(
          result.notes.some((one) => one.startsWith(note)),
          result.notes.join('; '),
        );
      }
    }
  },
);

test.serial('another table does not go on with a journal, and a pace is chosen', async (t) => {
  const model = work.model('llama3');
  const each = { ffn: 0.02, attention: 0.4 };
  const latency = await table(model, linear(each));
  const prompt = await table(model, (one) => {
    linear(each)(one);
    one.dense.generation = null;
    for (const row of one.rows) row.generation = null;
  });
  const options = { ...asked, targetSpeed: 1.2, tuneTokens: 0, output: work.path('out') };
  const { notes } = await prune(model, { ...options, latency: prompt });
  t.true(notes.some((note) => note.includes('it reads a prompt')));
  await t.throwsAsync(
    prune(model, { ...options, output: work.path('out'), latency: prompt, speedOf: 'generation' }),
    { instanceOf: StruPruneError, message: /has no times of generation; give speedOf prompt/ },
  );
  const output = work.path('out');
  const signal = new AbortController();
  const stopped = prune(model, {
    ...{ ...options, output, latency, signal: signal.signal },
    onProgress: ({ stage }) => stage === 'solve' && signal.abort(),
  });
  await t.throwsAsync(stopped, { any: true });
  const other = await table(model, linear({ ffn: 0.01, attention: 0.4 }));
  await t.throwsAsync(prune(model, { ...options, output, latency: other, resume: true }), {
    instanceOf: StruPruneError,
    message: /other times of widths/,
  });
  // The same times by another name are the same run.
  const same = await table(model, linear(each));
  await t.notThrowsAsync(prune(model, { ...options, output, latency: same, resume: true }));
});

test.serial('what cannot be met or read is refused before work', async (t) => {
  const model = work.model('llama3');
  const each = { ffn: 0.02, attention: 0.4 };
  const latency = await table(model, linear(each));
  const refused = async (message: RegExp, more: object, of = model) => {
    const options = { ...asked, output: work.path('out'), targetSpeed: 1.2, latency, ...more };
    await t.throwsAsync(prune(of, options), { instanceOf: StruPruneError, message });
  };
  await refused(/bench latency MODEL -o DIR/, { latency: undefined });
  await refused(/does not exist; make one/, { latency: work.path('none.json') });
  await refused(/has no times of widths/, { latency: await table(model, empty) });
  await refused(/of another model: family llama, and here opt/, {}, work.model('opt-pre'));
  await refused(/does not know whole sublayers; leave depth/, { depth: true });
  await refused(/does not know two budgets; leave apart/, { apart: true });
  await refused(/exclude each other/, { sparsity: 0.2 });
  await refused(/option targetSpeed is 1; give a number above 1/, { targetSpeed: 1 });
  const noisy = await table(model, (one) => {
    linear(each)(one);
    one.rows.find(({ site }) => site === 'ffn')!.generation = 0.005;
  });
  await refused(/fewer units of ffn take longer than more \(generation\)/, { latency: noisy });
  const error = await t.throwsAsync<StruPruneError>(
    prune(model, { ...asked, output: work.path('out'), targetSpeed: 50, latency }),
  );
  t.regex(error.message, /50\.000 times as fast, but .* let it be [\d.]+ times; ask for at most/);
  // What the message names is possible.
  const possible = Number(/let it be ([\d.]+) times/.exec(error.message)![1]);
  await t.notThrowsAsync(plan(model, { ...asked, targetSpeed: possible, latency }));
});

/** A document of another benchmark. */
function empty(latency: BenchLatency): void {
  latency.rows = latency.rows.map((row) => ({ ...row, prompt: -1 }));
}
