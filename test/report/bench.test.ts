/** The report of a benchmark: every number is the JSON's, and the page is sound. */
import test from 'ava';
import { benchSchema } from '../../lib/documents/bench';
import { benchHtml } from '../../lib/report/bench';
import { numbersOf, tableOf, unescaped } from './page';
import { HOSTILE, METHODS, SPARSITIES, sampleDocument } from './sample';
import { soundPage } from './sound';

const document = sampleDocument();
const page = benchHtml(document);
const quality = document.quality!;

const rowOf = (label: string, sparsity: number) =>
  quality.rows.find((row) => row.label === label && row.sparsity === sparsity)!;

test('the sample is a document of the schema', (t) => {
  t.deepEqual(benchSchema.parse(document), document);
});

test('perplexities of both texts are those of the JSON', (t) => {
  for (const [i, text] of ['a.txt', 'b.txt'].entries()) {
    const rows = numbersOf(page, `perplexity-${i}-table`);
    t.deepEqual(
      rows.map(([label]) => label).sort(),
      METHODS.filter(({ kind }) => kind !== 'ablation')
        .map(({ label }) => label)
        .sort(),
    );
    for (const [label, values] of rows) {
      const wanted = SPARSITIES.map(
        (sparsity) => rowOf(label, sparsity).texts.find((one) => one.text === text)!.perplexity,
      );
      t.deepEqual(values, wanted, `${label} on ${text}`);
    }
  }
});

test('quality against time: bold is what no other row beats in both', (t) => {
  const timed = sampleDocument();
  // The best first, and times that grow, but for one.
  const [focus] = timed.quality!.sparsities;
  const rows = timed
    .quality!.rows.filter(({ method, sparsity }) => {
      const { kind } = METHODS.find(({ id }) => id === method)!;
      return kind !== 'ablation' && sparsity === focus;
    })
    .sort((a, b) => b.texts[0]!.perplexity - a.texts[0]!.perplexity);
  timed.quality!.sparsities = [focus!];
  timed.quality!.rows = rows;
  for (const [i, row] of rows.entries()) row.seconds = { survey: 1, solve: 10 * i, evaluate: 3 };
  rows[1]!.seconds.solve = 1000;
  const shown = benchHtml(timed);
  const found = new Map(numbersOf(shown, 'trade-table'));
  t.is(found.size, rows.length);
  const [, table] = shown.split('<table id="trade-table" ');
  const lines = table!.split('</table>')[0]!.split('<tr>');
  for (const [i, { label, seconds, texts }] of rows.entries()) {
    t.deepEqual(found.get(label), [seconds.survey + seconds.solve, texts[0]!.perplexity]);
    const line = lines.find((one) => unescaped(one).includes(`>${label}<`))!;
    t.is(line.includes('class="best'), i !== 1, label);
  }
});

test('what is shown is what is meant: four digits of the value', (t) => {
  for (const [, ...cells] of tableOf(page, 'perplexity-0-table')) {
    for (const { text, values } of cells) {
      t.true(Math.abs(Number(text.replaceAll(',', '')) / values[0]! - 1) < 1e-3, text);
    }
  }
});

test('the table of all rows has every number of every row', (t) => {
  const shown = numbersOf(page, 'results-table');
  t.is(shown.length, quality.rows.length);
  for (const [label, values] of shown) {
    const row = rowOf(label, values[0]!);
    t.deepEqual(values, [
      row.sparsity,
      row.achieved,
      row.fileSparsity,
      row.parameters,
      row.fileBytes,
      ...row.texts.flatMap((on) => [on.perplexity, on.klToDense, on.top1Agreement]),
      row.survey === null ? null : row.seconds.survey,
      row.seconds.solve,
      row.seconds.evaluate,
      row.peakRssBytes,
    ]);
  }
});

test('shares of the layers, ablations, times and memory', (t) => {
  const methods = ['StruPrune, uniform', 'StruPrune, threshold', 'magnitude', 'FLAP'];
  for (const sparsity of SPARSITIES) {
    t.deepEqual(
      numbersOf(page, `layers-ffn-${Math.round(1000 * sparsity)}-table`).map(([, row]) => row),
      [0, 1, 2, 3].map((block) =>
        methods.map((label) => rowOf(label, sparsity).layers[block]!.share),
      ),
    );
  }
  const perplexity = (label: string, sparsity: number) =>
    rowOf(label, sparsity).texts[0]!.perplexity;
  t.deepEqual(numbersOf(page, 'ablations-table'), [
    [
      'no refit',
      [
        ...SPARSITIES.map((s) => perplexity('no refit', s) / perplexity('StruPrune, threshold', s)),
        null,
        null,
      ],
    ],
  ]);
  // At the chosen sparsity.
  t.deepEqual(
    numbersOf(page, 'time-table'),
    methods.map((label) => {
      const { survey, solve, evaluate } = rowOf(label, 0.2).seconds;
      return [label, [survey, solve, evaluate, survey + solve + evaluate]];
    }),
  );
  t.deepEqual(
    numbersOf(page, 'memory-table'),
    methods.map((label) => [label, [rowOf(label, 0.2).peakRssBytes]]),
  );
});

test('error curves and ADMM residuals', (t) => {
  const layers = quality.surveys[0]!.layers;
  for (const [i, [block, [weight, ...errors]]] of numbersOf(page, 'curves-0-ffn-table').entries()) {
    const { error } = layers[i]!;
    t.is(block, String(i));
    t.is(weight, null, 'groups are plain');
    t.is(errors[0], 2, 'weight');
    t.is(errors[1], 2 * error[Math.round(0.05 * 512)]!);
    t.is(errors[10], 2 * error[Math.round(0.5 * 512)]!);
  }
  const row = rowOf('StruPrune, uniform', 0.2);
  for (const [block, values] of numbersOf(page, 'admm-0-sites')) {
    const { history } = row.layers[Number(block)]!.admm!;
    const { primal, dual, rho } = history.at(-1)!;
    t.deepEqual(values, [null, history.length, null, primal, dual, rho]);
  }
  t.deepEqual(
    tableOf(page, 'admm-0-sites').map((cells) => cells[3]!.text),
    ['yes', 'yes', 'yes', 'no, limit'],
  );
});

test('masks: errors of every block, and their means against the sweep', (t) => {
  const { masks } = document;
  t.deepEqual(
    numbersOf(page, 'masks-ffn-250-table').map(([, values]) => values.slice(1)),
    masks!.sites.map(({ results }) => results.map(({ relativeError }) => relativeError)),
  );
  // 0.5 × 4 × 1 × 1 = 2 over four sites.
  const [, admm] = numbersOf(page, 'masks-summary').map(([, values]) => values);
  t.true(Math.abs(admm![2]! / 2 ** 0.25 - 1) < 1e-12);
  t.deepEqual([admm![1], admm![3], admm![4], admm![5], admm![7]], [4, 4, 3, 4, 3]);
  t.is(numbersOf(page, 'masks-admm-250-steps').length, 2);
  t.regex(wordsOf(page), /With 25 % of a site's groups removed, sweep leaves the least error/);
});

test('kernels, speed, peers, memory', (t) => {
  const { kernels, speed, peers, memory } = document;
  t.deepEqual(
    numbersOf(page, 'roofline-0-table').map(([op, values]) => [op, values[4], values[5]]),
    kernels!.rows.map(({ op, attainable, share }) => [op, attainable, share]),
  );
  t.deepEqual(
    numbersOf(page, 'speed-0-generation-table').map(([label, values]) => [
      label,
      ...values.slice(0, 3),
    ]),
    [
      ['dense', 100, 90, 100],
      ['pruned', 130, 117, 130],
    ],
  );
  t.is(speed!.runs.length, 2);
  t.regex(
    wordsOf(page),
    /writes tokens ×1\.30 as fast as the dense one \(the removed bytes allow ×1\.25: more is noise\)/,
  );
  t.regex(wordsOf(page), /something was left out\./);
  t.deepEqual(
    numbersOf(page, 'peers-table').map(([, values]) => values.slice(0, 4)),
    [
      [40, null, 2 ** 30, null],
      [130, 3.25, 2 ** 30, 2.5],
    ],
  );
  t.is(peers!.peers.length, 1);
  t.deepEqual(
    numbersOf(page, 'memory-rows').map(([, values]) => [values[6], values[7]]),
    memory!.rows.map(({ peakBytes, budgetBytes }) => [
      peakBytes,
      budgetBytes && (peakBytes! - memory!.idleBytes!) / budgetBytes,
    ]),
  );
});

test('the summary says the choice, its cost, and where StruPrune is not best', (t) => {
  const words = wordsOf(page.split('<main')[1]!.split('<section')[0]!);
  t.regex(words, /StruPrune, uniform at 20 %: the largest share .* both texts/);
  t.regex(words, /perplexity 20\.00 → 21\.80 on a\.txt \(\+9\.0 %\); 40\.00 → 43\.60 on b\.txt/);
  t.regex(words, /Going on to 30 % costs \+26\.0 %/);
  t.regex(
    words,
    /StruPrune is not best at 40 % on a\.txt: FLAP has 32\.00, StruPrune, threshold 33\.00 \(\+3\.1 %\)/,
  );
  t.regex(
    words,
    /no refit does better than StruPrune, threshold at 20 % on every text \(perplexity up to −4\.5 %\)/,
  );
  t.true(words.includes(`Failed: osscar at 40 %: no ${HOSTILE} factor [ERR_NUMERIC]`));
  t.deepEqual(numbersOf(page, 'best-table')[3]![1].slice(1, 4), [32, 1.6, 1.61]);
});

test('nothing within the limit is said as it is', (t) => {
  const mild = sampleDocument();
  for (const one of mild.quality!.dense.perplexities) one.perplexity /= 2;
  const words = wordsOf(benchHtml(mild).split('<main')[1]!.split('<section')[0]!);
  t.regex(words, /No method measured stays within 10 %.* costs \+106\.0 %/);
  t.regex(
    words,
    /prune .* --sparsity 0\.1 --scope ffn --ffn-solver output --allocation .* --survey-tokens 2048/,
  );
});

test('machine, versions, seed and the command', (t) => {
  const words = wordsOf(page.split('id="origin"')[1]!);
  for (const part of [document.command, 'A processor, 2 cores, 2 threads', '20.20.2', '0.1.0']) {
    t.true(words.includes(part), part);
  }
  t.regex(words, /Seed ?7/);
  t.true(words.includes('abab'));
});

test('a line that leaves the chart is said to be in the table', (t) => {
  t.regex(wordsOf(page), /Beyond the top, in the table: magnitude\./);
});

test('the page is sound', (t) => soundPage(t, page));

test('a document of one section alone', (t) => {
  for (const key of ['quality', 'masks', 'kernels', 'speed', 'peers', 'memory'] as const) {
    const whole = sampleDocument();
    const { format, version, date, seconds, command, machine, versions, seed, settings } = whole;
    const about = { format, version, date, seconds, command, machine, versions, seed, settings };
    soundPage(t, benchHtml({ ...about, [key]: whole[key] }));
  }
});

test('empty lists and values that are not finite make a page all the same', (t) => {
  const bare = sampleDocument();
  Object.assign(bare.quality!, { rows: [], surveys: [], failures: [] });
  Object.assign(bare.kernels!, { rows: [] });
  Object.assign(bare.memory!, { rows: [] });
  soundPage(t, benchHtml(bare));
  const broken = sampleDocument();
  for (const row of broken.quality!.rows) row.texts[0]!.perplexity = Number.NaN;
  soundPage(t, benchHtml(broken));
});

test('the same document gives the same text', (t) => {
  t.is(benchHtml(sampleDocument()), page);
});

function wordsOf(markup: string): string {
  return unescaped(
    markup
      .replace(/<svg[\s\S]*?<\/svg>/g, '')
      .replace(/<[^>]*>/g, '')
      .replace(/\s+/g, ' '),
  );
}

test('ablations alone: their numbers are drawn, and nothing is chosen', (t) => {
  const alone = sampleDocument();
  const { rows, methods } = alone.quality!;
  alone.quality!.rows = rows.filter(({ method }) => method === 'without-refit');
  alone.quality!.methods = methods.filter(({ id }) => id === 'without-refit');
  const html = benchHtml(alone);
  t.regex(html, /Ablations alone were measured/);
  t.deepEqual(numbersOf(html, 'perplexity-0-table'), [
    ['no refit', SPARSITIES.map((sparsity) => rowOf('no refit', sparsity).texts[0]!.perplexity)],
  ]);
});

test('another allocation is an ingredient beside the ablations, but may be chosen', (t) => {
  const other = sampleDocument();
  other.quality!.methods = METHODS.map((method) =>
    method.id === 'struprune-uniform' ? { ...method, base: 'struprune-threshold' } : method,
  );
  const html = benchHtml(other);
  // By the change at the largest sparsity, the largest first.
  t.deepEqual(
    numbersOf(html, 'ablations-table').map(([label]) => label),
    ['no refit', 'StruPrune, uniform'],
  );
  t.notRegex(html, /StruPrune, uniform<\/strong> does better/);
});

test('documents with different sections make one page', (t) => {
  const { quality, kernels, speed, peers, memory, masks, ...about } = document;
  const [one, other] = [
    { ...about, command: 'one command', quality, masks },
    { ...about, command: 'another command', seed: 7, kernels, speed, peers, memory },
  ];
  const html = benchHtml(one, other);
  soundPage(t, html);
  for (const id of ['quality', 'masks', 'kernels', 'speed', 'peers', 'budgets']) {
    t.true(html.includes(`<section id="${id}"`), id);
  }
  // Each with its own command, and what it says is in neither place twice.
  for (const { command } of [one, other]) t.is(html.split(command).length, 2, command);
  t.is(numbersOf(html, 'results-table').length, document.quality!.rows.length);
});

test('a section of another model says so', (t) => {
  const { quality, kernels, ...rest } = document;
  const about = {
    ...rest,
    speed: undefined,
    peers: undefined,
    memory: undefined,
    masks: undefined,
  };
  const model = { ...kernels!.model, name: 'another model' };
  const html = benchHtml({ ...about, quality }, { ...about, kernels: { ...kernels!, model } });
  t.regex(html, /<h2 id="kernels-heading">Kernels: another model<\/h2>/);
});
