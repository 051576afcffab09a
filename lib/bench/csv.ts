/** Tables of a document as CSV (RFC 4180): a line of names, then one line a row. */
import type {
  BenchDocument,
  BenchGraphs,
  BenchMasks,
  BenchQuality,
  BenchScale,
} from '../documents/bench';
import { latencyRows } from '../documents/latency-rows';

type Cell = string | number | null;

/** Text of the section's file; null where the section is no table. */
export function csvOf({
  quality,
  kernels,
  masks,
  graphs,
  latency,
  scale,
}: BenchDocument): string | null {
  if (quality) return lines(qualityTable(quality));
  if (kernels) return lines(kernels.rows);
  if (masks) return lines(masksTable(masks));
  if (graphs) return lines(graphsTable(graphs));
  if (latency) return lines(latencyRows(latency).map((row) => ({ ...row })));
  if (scale) return lines(scaleTable(scale));
  return null;
}

/** One line a text for the dense model, then one a row and text. */
function qualityTable({ model, dense, rows, methods }: BenchQuality): Record<string, Cell>[] {
  const kinds = new Map(methods.map(({ id, kind }) => [id, kind]));
  const found = rows.flatMap((row) =>
    row.texts.map((text) => ({
      method: row.method,
      label: row.label,
      kind: kinds.get(row.method) ?? '',
      allocation: row.allocation,
      sparsity: row.sparsity,
      achieved: row.achieved,
      fileSparsity: row.fileSparsity,
      parameters: row.parameters,
      fileBytes: row.fileBytes,
      ...text,
      surveySeconds: row.seconds.survey,
      solveSeconds: row.seconds.solve,
      evaluateSeconds: row.seconds.evaluate,
      peakRssBytes: row.peakRssBytes,
    })),
  );
  const unpruned = dense.perplexities.map((text) => ({
    ...Object.fromEntries(Object.keys(found[0] ?? {}).map((name) => [name, null])),
    method: 'dense',
    label: 'dense model',
    kind: 'dense',
    sparsity: 0,
    achieved: 0,
    fileSparsity: 0,
    parameters: model.parameters,
    fileBytes: model.fileBytes,
    ...text,
    klToDense: 0,
    top1Agreement: 1,
  }));
  return [...unpruned, ...found];
}

/** One line a number of ranks, rank and stage. */
function scaleTable({ rows }: BenchScale): Record<string, Cell>[] {
  return rows.flatMap(({ each, sharesTokens, ...row }) =>
    each.map(({ seconds, ...stage }) => ({ ...row, ...stage, stageSeconds: seconds })),
  );
}

/** One line a site, share and search. */
function masksTable({ sites }: BenchMasks): Record<string, Cell>[] {
  return sites.flatMap(({ results, ...site }) =>
    results.map(({ admm, ...result }) => ({
      ...site,
      ...result,
      admmSteps: admm?.history.length ?? null,
      admmConverged: admm ? String(admm.converged) : null,
    })),
  );
}

/** The dense graph, then one line a row. */
function graphsTable({ dense, rows }: BenchGraphs): Record<string, Cell>[] {
  return [{ method: 'dense', name: null, sparsity: 0, pruneSeconds: null, ...dense }, ...rows];
}

function lines(rows: readonly Record<string, Cell>[]): string {
  const names = Object.keys(rows[0] ?? {});
  const table = [names, ...rows.map((row) => names.map((name) => row[name] ?? ''))];
  return table.map((cells) => `${cells.map(cellOf).join(',')}\r\n`).join('');
}

function cellOf(value: Cell): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
