/** The report of one run over a graph: its numbers are those of the GraphResult. */
import test from 'ava';
import { graphHtml } from '../../lib/report/graph';
import { dotsOf, numbersOf, unescaped } from './page';
import { HOSTILE, sampleGraph } from './sample';
import { soundPage } from './sound';

const { result, origin } = sampleGraph();

test('sites and what stays are those of the result', (t) => {
  const page = graphHtml({ model: `/models/${HOSTILE}.onnx`, result, origin });
  soundPage(t, page);
  t.deepEqual(
    numbersOf(page, 'site-widths-table').map(([, values]) => values),
    [
      [null, 8, 6, 0.25, 2],
      [null, 4, 4, 0, 1],
    ],
  );
  t.deepEqual(
    numbersOf(page, 'site-errors-table').map(([, values]) => values),
    [[null, 0.5, 0.25, 0.05]],
  );
  t.deepEqual(
    numbersOf(page, 'held-table').map(([, values]) => values),
    [[0.125]],
  );
  const words = unescaped(page.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' '));
  t.regex(words, /Weights removed 40\.0 % of all maps/);
  t.regex(words, /Loss 0\.125 on 240 samples/);
  t.regex(words, /Same first choice 75\.0 %/);
  t.regex(words, /: KL of logits, to the dense graph/);
  t.regex(words, /a loss of 3\.5 on the calibration samples, 3\.5 during the run/);
});

test('without samples to evaluate on, and with nothing that stays', (t) => {
  const bare = { ...result, evaluation: null, held: [] };
  const page = graphHtml({ model: 'a.onnx', result: bare, origin });
  soundPage(t, page);
  t.false(page.includes('held-table'));
  t.false(page.includes('samples to evaluate on'));
});

test('dots lie as high as their numbers', (t) => {
  const [first, second] = result.sites;
  const sites = [0, 2, 4, 6].map((after) => ({ ...first!, after, relativeError: after / 8 }));
  const page = graphHtml({ model: 'a.onnx', result: { ...result, sites }, origin });
  // 1, 3/4, 1/2 and 1/4 of its units have gone, and errors rise by as much a site.
  for (const [id, rising] of [
    ['site-widths', false],
    ['site-errors', true],
  ] as const) {
    const heights = dotsOf(page, id).map(([, y]) => y);
    t.is(heights.length, 4);
    const steps = heights.slice(1).map((y, i) => y - heights[i]!);
    for (const step of steps) t.true(Math.abs(step - steps[0]!) < 0.5 && step < 0 === rising);
  }
  // A method without errors has no picture of them.
  const bare = graphHtml({ model: 'a.onnx', result: { ...result, sites: [second!] }, origin });
  t.false(bare.includes('site-errors'));
});
