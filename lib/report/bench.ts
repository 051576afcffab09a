/** The documents of benchmarks as one HTML file. */

import type { BenchDocument, BenchModel, BenchQuality } from '../documents/bench';
import { sharedInWords } from '../wording';
import { type Html, html } from './html';
import { asked, grouped, million } from './numbers';
import { page, type Section } from './page';
import { ablationFigure } from './sections/ablations';
import { admmFigure } from './sections/admm';
import { costFigures } from './sections/cost';
import { curveFigures } from './sections/curves';
import { graphFigures, graphsSummary } from './sections/graphs';
import { kernelFigures, kernelSummary } from './sections/kernels';
import { latencyTable } from './sections/latency';
import { focusOf, layerFigures } from './sections/layers';
import { masksFigures, masksSummary } from './sections/masks';
import { memoryFigures, memorySummary } from './sections/memory';
import { methodsTable, originBody, textsTable } from './sections/origin';
import { peersFigures, peersSummary } from './sections/peers';
import { perplexityFigures } from './sections/perplexity';
import { resultsTable } from './sections/results';
import { scaleTable } from './sections/scale';
import { speedFigures, speedSummary } from './sections/speed';
import { tradeFigure } from './sections/trade';
import { qualitySummary } from './summary/quality';

/** The whole report, of documents with different sections; the same ones give the same text. */
export function benchHtml(...documents: readonly BenchDocument[]): string {
  const whole: BenchDocument = Object.assign({}, ...documents.toReversed());
  const { quality, kernels, speed, peers, memory, masks, graphs, latency, scale, versions, date } =
    whole;
  const model = (quality ?? masks ?? kernels ?? peers ?? latency ?? scale)?.model;
  const name = model?.name ?? speed?.pruned.label ?? graphs?.model.name ?? 'this machine';
  const of = (title: string, measured: BenchModel | undefined) =>
    measured && measured.name !== name ? `${title}: ${measured.name}` : title;
  return page({
    version: versions.struprune,
    date,
    title: quality ? `Pruning ${name}` : `Benchmark of ${name}`,
    facts: model
      ? html`${model.family}, ${million(model.parameters)} parameters, ${model.blocks} blocks of width ${grouped(model.hidden)}${
          quality
            ? `, ${sharedInWords(quality)}, written as ${quality.format} (${quality.dtype})`
            : ''
        }`
      : html`${whole.machine.cpu}`,
    summary: summaryOf(whole),
    sections: [
      ...(quality ? qualitySections(quality) : []),
      ...section('masks', of('Masks inside a block', masks?.model), masks && masksFigures(masks)),
      ...section('kernels', of('Kernels', kernels?.model), kernels && kernelFigures(kernels)),
      ...section('graphs', 'An ONNX graph', graphs && graphFigures(graphs)),
      ...section('speed', 'Speed', speed && speedFigures(speed)),
      ...section('latency', of('Latency', latency?.model), latency && latencyTable(latency)),
      ...section('scale', of('Several machines', scale?.model), scale && scaleTable(scale)),
      ...section('peers', of('Against other programs', peers?.model), peers && peersFigures(peers)),
      ...section('budgets', 'Memory', memory && memoryFigures(memory)),
      { id: 'origin', title: 'How this was made', body: originsOf(documents) },
    ],
  });
}

function section(id: string, title: string, body: Html | null | undefined): Section[] {
  return body ? [{ id, title, body }] : [];
}

function summaryOf(whole: BenchDocument): Html {
  const { quality, kernels, speed, peers, masks, memory, graphs } = whole;
  const rest = html`${masks && masksSummary(masks)}${kernels && kernelSummary(kernels)}${speed && speedSummary(speed)}${peers && peersSummary(peers)}${memory && memorySummary(memory)}${graphs && graphsSummary(graphs)}`;
  if (quality) return html`${qualitySummary(quality)}${rest}`;
  return rest.text === '' ? rest : html`<div class="answer"><h2>In short</h2>${rest}</div>`;
}

function qualitySections(quality: BenchQuality): Section[] {
  return [
    {
      id: 'quality',
      title: 'Quality',
      body: html`${perplexityFigures(quality)}${resultsTable(quality)}`,
    },
    ...section('ingredients', 'Ingredients', ablationFigure(quality)),
    ...section('layers', 'Where it is removed', layerFigures(quality)),
    ...section('curves', 'Error curves', curveFigures(quality)),
    ...section('admm', 'ADMM', admmOf(quality)),
    ...section('trade', 'Quality against time', tradeFigure(quality)),
    ...section('cost', 'Time and memory', costFigures(quality)),
  ];
}

/** A figure for every row that ran ADMM at the chosen sparsity, or at any where none did at that. */
function admmOf(quality: BenchQuality): Html | null {
  const ran = quality.rows.filter(({ layers }) => layers.some(({ admm }) => admm !== null));
  const focus = focusOf(quality);
  const chosen = ran.filter(({ sparsity }) => sparsity === focus);
  const figures = (chosen.length > 0 ? chosen : ran).map(({ layers, label, sparsity }, i) =>
    admmFigure(layers, `admm-${i}`, `${label} at ${asked(sparsity)}`),
  );
  return figures.length === 0 ? null : html`${figures}`;
}

function originsOf(documents: readonly BenchDocument[]): Html {
  const [first, ...others] = documents;
  if (others.length === 0) return originOf(first!);
  return html`${documents.map((document, i) => originOf(document, `part-${i}-`))}`;
}

/** `prefix`: of ids, which are a page's own. */
function originOf(document: BenchDocument, prefix = ''): Html {
  const { quality, peers, masks } = document;
  const texts = [
    ...(quality ? [{ ...quality.calibration, use: 'calibration' }] : []),
    ...(quality?.texts ?? []).map((text) => ({ ...text, use: 'evaluation' })),
    ...(!quality && peers ? [{ ...peers.calibration, use: 'calibration' }] : []),
    ...(masks ? [{ ...masks.calibration, use: 'masks' }] : []),
  ];
  return originBody(
    document,
    html`${texts.length > 0 ? textsTable(texts, prefix) : null}${quality ? methodsTable(quality.methods) : null}`,
    prefix,
  );
}
