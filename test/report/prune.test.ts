/** The report of one run: its numbers are those of the PruneResult. */
import test from 'ava';
import { pruneHtml } from '../../lib/report/prune';
import { numbersOf, tableOf, unescaped } from './page';
import { HOSTILE, sampleDocument, sampleRun } from './sample';
import { soundPage } from './sound';

const run = sampleRun();
const page = pruneHtml(run);

test('widths and errors are those of the result', (t) => {
  const { layers, layerStats } = run.result;
  t.deepEqual(
    numbersOf(page, 'widths-table').map(([, values]) => values),
    layers.map(({ ffnBefore, ffnAfter, kvHeadsBefore, kvHeadsAfter }) => [
      ffnBefore,
      ffnAfter,
      1 - ffnAfter / ffnBefore,
      kvHeadsBefore,
      kvHeadsAfter,
      1 - kvHeadsAfter / kvHeadsBefore,
    ]),
  );
  t.deepEqual(
    numbersOf(page, 'errors-table').map(([, values]) => values.slice(1)),
    layerStats.map(
      ({ groups, removed, energy, predicted, relativeError, lambda, swaps, seconds }) => [
        groups,
        removed,
        energy,
        predicted,
        relativeError,
        lambda,
        swaps,
        seconds,
      ],
    ),
  );
  t.deepEqual(
    tableOf(page, 'admm-sites').map((cells) => cells[2]!.values[0]),
    layerStats.map(({ admm }) => admm!.iterations),
  );
});

test('the summary, samples, verification and command', (t) => {
  const words = unescaped(page.replace(/<svg[\s\S]*?<\/svg>|<[^>]*>/g, '').replace(/\s+/g, ' '));
  t.regex(words, /30\.0 % of the blocks' linear weights are gone: 15\.0 % of all parameters/);
  t.regex(words, /perplexity 20\.00 → 21\.00 on a\.txt \(\+5\.0 %\), within 10\.0 % of the dense/);
  t.true(words.includes(`Pruned model ${HOSTILE}`) || words.includes(`Pruned model${HOSTILE}`));
  t.regex(words, /calibration and evaluation text overlap/);
  t.regex(words, /mean NLL of the last calibration window 3\.5, the same as during the run/);
  t.true(words.includes(run.origin.command));
  t.regex(words, /Calibrated on ?1,024 tokens in 8 windows of 128/);
  t.regex(words, /Loads as ?own modeling code \(trust_remote_code=True\)/);
});

test('how fast it became: both runtimes, and what was left out', (t) => {
  const { speed } = sampleDocument();
  const fast = pruneHtml({ ...run, speed: speed! });
  soundPage(t, fast);
  t.deepEqual(
    numbersOf(fast, 'speed-1-prompt-table').map(([, values]) => values[0]),
    [800, 900],
  );
  t.true(fast.includes('something was left out'));
  t.false(page.includes('id="speed"'));
});

test('without evaluation, samples, errors or ADMM', (t) => {
  const bare = sampleRun();
  Object.assign(bare.result, {
    perplexityBefore: null,
    perplexityAfter: null,
    measuredOn: null,
    samples: null,
  });
  for (const one of bare.result.layerStats) Object.assign(one, { admm: null, relativeError: null });
  const text = pruneHtml(bare);
  soundPage(t, text);
  t.regex(text, /was not measured/);
  t.false(/id="(?:admm|samples|errors)"/.test(text));
});

test('tokens that experts were routed: those of the result, block by block', (t) => {
  t.false(page.includes('id="expert-tokens"'));
  const mixed = sampleRun();
  const counts: Record<number, number[]> = { 0: [40, 15, 0, 16], 2: [7, 1000, 30] };
  for (const one of mixed.result.layerStats) {
    Object.assign(one, { expertTokens: one.site === 'ffn' ? (counts[one.index] ?? null) : null });
  }
  const text = pruneHtml(mixed);
  soundPage(t, text);
  t.deepEqual(numbersOf(text, 'expert-tokens-table'), [
    ['0', [4, 0, 15.5, 40, 2]],
    ['2', [3, 7, 30, 1000, 1]],
  ]);
});

test('what tuning came to, held out and not', (t) => {
  const tuned = sampleRun();
  tuned.result.tuning = {
    tokens: 4096,
    mixTokens: 0,
    before: { heldOut: 0.75, trained: 0.625 },
    after: { heldOut: 0.5, trained: 0.375 },
    seconds: 2,
  };
  const text = pruneHtml(tuned);
  soundPage(t, text);
  const words = unescaped(text.replace(/<[^>]*>/g, '').replace(/\s+/g, ' '));
  t.regex(words, /0\.5 ?nats a token, 0\.75 before tuning; on windows that tuned 0\.625 → 0\.375/);
  t.notRegex(page, /before tuning/);
});

test('over the limit it says so', (t) => {
  const costly = sampleRun();
  costly.result.perplexityAfter = 23;
  t.regex(pruneHtml(costly), /more than 10\.0 % above the dense model/);
});

test('the page is sound', (t) => soundPage(t, page));
