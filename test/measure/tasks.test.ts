/** Questions as lm-eval 0.4.13 answers them: scripts/oracles/make-task-fixtures.py. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { tokenizerOf } from '../../lib/calibration/text';
import { openCheckpoint } from '../../lib/checkpoint/open';
import { withEngine } from '../../lib/engine/call';
import { AS_IS, Session } from '../../lib/engine/session';
import { evaluateTasks } from '../../lib/evaluate-tasks';
import { likelihoodsOf } from '../../lib/measure/tasks';
import { inThread } from '../../lib/tokenizer';
import { readQuestions } from '../../lib/tokenizer/questions';
import { workspace } from '../e2e/models';

interface Row {
  prompt: string;
  choices?: string[];
  likelihoods: [logLikelihood: number, greedy: boolean][];
}
interface Case {
  name: string;
  post_processor: object | null;
  rows: Row[];
  acc: [number, number];
  acc_norm: [number, number];
  exact_match: [number, number];
}

const work = workspace();
test.after.always(() => work.remove());

const ASSETS = join(__dirname, '../../assets');
const CASES = JSON.parse(readFileSync(join(__dirname, 'fixtures/tasks.json'), 'utf8')) as Case[];

function modelWith(postProcessor: object | null): string {
  const model = join(ASSETS, 'tiny');
  if (postProcessor === null) return model;
  const copy = work.path('bos');
  cpSync(model, copy, { recursive: true });
  const path = join(copy, 'tokenizer.json');
  const json = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...json, post_processor: postProcessor }));
  return copy;
}

function questionsOf(rows: readonly Row[]): string {
  const path = work.path('questions.jsonl');
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  return path;
}

for (const { name, rows, ...of } of CASES) {
  test(`log-likelihoods of continuations: ${name}`, async (t) => {
    const source = await openCheckpoint(modelWith(of.post_processor));
    const job = { source: tokenizerOf(source), path: questionsOf(rows) };
    const questions = await inThread('questions', job);
    await withEngine({ threads: 1 }, async (engine) => {
      const session = new Session(engine, source, AS_IS);
      const all = questions.flatMap(({ continuations }) => continuations);
      const found = await likelihoodsOf(session, all, { scratch: '' });
      session.dispose();
      for (const [i, { prompt, likelihoods }] of rows.entries()) {
        for (const [k, [expected, written]] of likelihoods.entries()) {
          const { logLikelihood, greedy } = found.get(questions[i]!.continuations[k]!)!;
          const off = Math.abs(logLikelihood - expected) / Math.max(1, Math.abs(expected));
          t.true(off < 1e-4, `${prompt.slice(0, 60)}, ${k}: ${logLikelihood}, ${expected}`);
          t.is(greedy, written);
        }
      }
    });
  });

  test(`shares of right answers and their errors: ${name}`, async (t) => {
    const model = modelWith(of.post_processor);
    const given = { tasks: questionsOf(rows), threads: 1 };
    const { choices, completions } = await evaluateTasks(model, given);
    const chosen = rows.filter((row) => row.choices).length;
    t.deepEqual([choices!.questions, completions!.questions], [chosen, rows.length - chosen]);
    const pairs = [
      [choices!.accuracy, of.acc],
      [choices!.accuracyNorm, of.acc_norm],
      [completions!.exactMatch, of.exact_match],
    ] as const;
    for (const [{ share, standardError }, [mean, error]] of pairs) {
      t.true(Math.abs(share - mean) < 1e-12, `${share}, ${mean}`);
      t.true(Math.abs(standardError - error) < 1e-12, `${standardError}, ${error}`);
    }
  });
}

test("lm-eval's names of tasks are told from files of questions", (t) => {
  t.throws(() => readQuestions('arc_easy'), {
    code: 'ERR_NOT_FOUND',
    message: /cannot read the text arc_easy; .*tasks run in lm-eval/,
  });
});

test('what is no question is refused by its line', async (t) => {
  const good = { prompt: 'One', completion: ' two' };
  for (const bad of [
    { prompt: 'One' },
    { prompt: ' ', completion: 'two' },
    { prompt: 'One', completion: '' },
    { prompt: 'One', choices: ['two'], answer: 0 },
    { prompt: 'One', choices: ['two', 'three'], answer: 2 },
    { prompt: 'One', choices: ['two', 3], answer: 0 },
    { prompt: 'One', choices: ['two', 'three'] },
    ['One'],
    null,
  ]) {
    const tasks = work.path('bad.jsonl');
    writeFileSync(tasks, `${JSON.stringify(good)}\n${JSON.stringify(bad)}\n`);
    await t.throwsAsync(evaluateTasks(join(ASSETS, 'tiny'), { tasks, threads: 1 }), {
      code: 'ERR_TEXT',
      message: /line 2: is no question/,
    });
  }
  const empty = work.path('empty.jsonl');
  writeFileSync(empty, '\n');
  await t.throwsAsync(evaluateTasks(join(ASSETS, 'tiny'), { tasks: empty, threads: 1 }), {
    code: 'ERR_TEXT',
    message: /has no question/,
  });
});
