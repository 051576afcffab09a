/** What a run wrote, and what the model says. */
import { loadsAs } from '../../checkpoint/export-table';
import { tokensInWindows } from '../../numbers';
import type { PruneResult } from '../../pruning/result';
import { type Html, html } from '../html';
import { bytes, data, grouped, short } from '../numbers';
import { facts } from './origin';

export function outputBody(result: PruneResult): Html {
  const { verification, notes } = result;
  const difference = Math.abs(verification.actual - verification.expected);
  return html`${facts([
    ['Where', html`<code>${result.output}</code>`],
    ['Calibrated on', tokensInWindows(result.calibrationTokens, result.window)],
    ['Loads as', loadsAs(result.kind)],
    [
      'Parameters',
      html`${data(result.parametersAfter, grouped)} of ${data(result.parametersBefore, grouped)}`,
    ],
    ['Weight files', html`${data(result.bytesAfter, bytes)} of ${data(result.bytesBefore, bytes)}`],
    [
      'Opened again',
      html`mean NLL of the last calibration window ${data(verification.actual, short)}, ${
        difference === 0
          ? 'the same as during the run'
          : html`${data(difference, short)} from that during the run`
      }`,
    ],
  ])}${notes.length === 0 ? null : html`<ul>${notes.map((note) => html`<li>${note}</li>`)}</ul>`}`;
}

export function samplesBody({ prompt, before, after }: NonNullable<PruneResult['samples']>): Html {
  return html`<p>Greedy continuations of the same prompt; a sample, not a measurement.</p>
<h3>Prompt</h3><blockquote>${prompt}</blockquote>
<h3>Dense model</h3><blockquote>${before}</blockquote>
<h3>Pruned model</h3><blockquote>${after}</blockquote>`;
}
