/** What one run did and what it cost, in words. */
import type { BenchSpeed } from '../../documents/bench';
import type { PruneResult } from '../../pruning/result';
import { type Html, html } from '../html';
import {
  bytes,
  change,
  data,
  mebibytes,
  million,
  percent,
  perplexity,
  short,
  time,
} from '../numbers';
import { speedSummary } from '../sections/speed';
import { tiles } from '../tiles';
import { LIMIT } from './choose';
import { fileSizes } from './sizes';

export function pruneSummary(result: PruneResult, speed: BenchSpeed | null): Html {
  const { sparsity, fileSparsity, bytesBefore, bytesAfter, warnings } = result;
  return html`<div class="answer"><h2>In short</h2>
<p>${data(sparsity, percent)} of the blocks' linear weights are gone: ${data(fileSparsity, percent)} of all
parameters, ${fileSizes(bytesBefore, bytesAfter)}</p>
<p>${cost(result)}</p>${speed && speedSummary(speed)}</div>
${keyFigures(result)}
${
  warnings.length === 0
    ? null
    : html`<div class="warnings" role="group" aria-labelledby="warnings-heading"><h3 id="warnings-heading">To be aware of</h3>
<ul>${warnings.map((warning) => html`<li>${warning}</li>`)}</ul></div>`
}`;
}

/** The same limit that a benchmark's choice keeps. */
function cost({ perplexityBefore, perplexityAfter, measuredOn }: PruneResult): Html {
  if (perplexityBefore === null || perplexityAfter === null) {
    return html`What that costs was not measured: give an evaluation text with <code>--eval</code>.`;
  }
  const ratio = perplexityAfter / perplexityBefore;
  const limit = percent(LIMIT - 1);
  const verdict =
    ratio <= LIMIT
      ? `within ${limit} of the dense model`
      : `more than ${limit} above the dense model: prune less, calibrate on more text, or fine-tune`;
  return html`It costs perplexity ${data(perplexityBefore, perplexity)} → ${data(perplexityAfter, perplexity)} on
${measuredOn} (${data(ratio, change)}), ${verdict}.`;
}

function keyFigures(result: PruneResult): Html {
  const {
    perplexityBefore,
    perplexityAfter,
    perplexityCalibrated,
    parametersBefore,
    parametersAfter,
    search,
    tuning,
  } = result;
  const measured =
    perplexityBefore === null || perplexityAfter === null
      ? []
      : [
          {
            name: 'Perplexity',
            figure: data(perplexityAfter, perplexity),
            beside: html`dense ${data(perplexityBefore, perplexity)}${perplexityCalibrated && html`; ${data(perplexityCalibrated.before, perplexity)} → ${data(perplexityCalibrated.after, perplexity)} on windows that calibrated`}`,
          },
        ];
  const tuned =
    tuning === null
      ? []
      : [
          {
            name: 'KL to the dense model',
            figure: data(tuning.after.heldOut, short),
            beside: html`nats a token, ${data(tuning.before.heldOut, short)} before tuning; on windows that tuned
${data(tuning.before.trained, short)} → ${data(tuning.after.trained, short)}`,
          },
        ];
  const searched =
    search === null
      ? []
      : [
          {
            name: 'All layers pruned at once',
            figure: data(search.after, short),
            beside: html`nats a token, ${data(search.before, short)} before the search for widths; nothing else refitted`,
          },
        ];
  return tiles([
    ...measured,
    ...searched,
    ...tuned,
    {
      name: 'Parameters',
      figure: data(parametersAfter, million),
      beside: html`of ${data(parametersBefore, million)}`,
    },
    {
      name: 'Weight files',
      figure: data(result.bytesAfter, bytes),
      beside: html`source ${data(result.bytesBefore, bytes)}`,
    },
    { name: 'Time', figure: data(result.seconds, time), beside: 'from start to finish' },
    {
      name: 'Peak memory',
      figure: data(result.peakRssBytes, mebibytes),
      beside: 'of the whole process',
    },
  ]);
}
