/** A checkpoint written in another format or dtype, nothing removed. */

import type { z } from 'zod';
import { modelFiles, requireApart } from './checkpoint/apart';
import { asRun } from './checkpoint/as-llama-runs';
import { orAbort } from './checkpoint/atomic';
import { codeWarnings } from './checkpoint/code-references';
import { type ExportPlan, planExport, scalesIn } from './checkpoint/export';
import type { ExportKind } from './checkpoint/export-table';
import { openGguf } from './checkpoint/gguf-model';
import { openCheckpoint } from './checkpoint/open';
import { formatFor, requireName } from './checkpoint/output-path';
import { type CallOptions, settingsFrom, withEngine } from './engine/call';
import { type Engine, withBytes } from './engine/engine';
import { using } from './engine/owned';
import { AS_IS, Session } from './engine/session';
import type { ModelSource } from './model/architecture';
import { encodeBlockTensor, encodeOutsideTensor } from './models/decoders/encode';
import { originOf } from './models/decoders/model-card';
import { tokenizerOutput } from './models/decoders/tokenizer-output';
import { appendCopied, openSink, type Sink } from './models/decoders/write';
import { EXPORT } from './options/export';
import { schemaOf } from './options/option';
import { type OnProgress, type OnStage, stageReporter } from './progress';
import { sourceOf } from './source';
import { dtypeFor, matricesOf, quantisedTypes, takenOverFrom } from './spec/dtypes';
import { sourceFiles } from './spec/planned';

const schema = schemaOf(EXPORT);

export type ExportOptions = z.input<typeof schema> & CallOptions & { onProgress?: OnProgress };
type ExportSettings = z.output<typeof schema>;

export interface Exported {
  output: string;
  format: 'hf' | 'gguf';
  dtype: string;
  /** What loads it. */
  kind: ExportKind;
  notes: string[];
}

/**
 * Writes the model as it is into another format or dtype.
 * @throws StruPruneError ERR_UNSUPPORTED when the format does not hold the model; ERR_OUTPUT, ERR_NAN, ERR_NOT_FOUND,
 *   ERR_CHECKPOINT, ERR_ARGUMENT; the signal's reason when aborted
 */
export async function exportModel(
  model: string | ModelSource,
  options: ExportOptions,
): Promise<Exported> {
  const settings = settingsFrom(schema, options);
  return withEngine(options, async (engine) => {
    const onStage = withBytes(engine, options.onProgress);
    const source = await sourceOf(model, options, engine);
    return exportOn(engine, source, settings, onStage, options.signal);
  });
}

/** exportModel() on an engine that is there. */
export async function exportOn(
  engine: Engine,
  opened: ModelSource,
  settings: ExportSettings,
  onStage?: OnStage,
  signal?: AbortSignal,
): Promise<Exported> {
  const { output, force: replace, maxShardBytes } = settings;
  const format = formatFor(output, settings.format);
  requireName(output, format);
  const { source, notes: otherwise } = asRun(opened, format);
  const { architecture } = source;
  await requireApart([[`the output ${output}`, output]], await modelFiles(source));
  const asked = { dtype: settings.dtype, format };
  const dtype = dtypeFor(source, asked);
  const matrices = matricesOf(architecture);
  const takenOver = takenOverFrom(source, asked, matrices);
  const widths = { architecture, pruned: architecture };
  const { wrapped } = source;
  const plan = planExport({ ...widths, format, dtype, takenOver, wrapped, ...sourceFiles(source) });
  const tokenizer = await tokenizerOutput(source, format, signal);
  const provenance = originOf(source);
  // Rows in a type that they are written in are copied.
  const stored = { ...AS_IS, asSource: matrices, ...scalesIn(architecture, format) };
  const session = new Session(engine, source, stored, engine.overflow);
  try {
    const sink = await openSink(plan, output, { replace, maxShardBytes, tokenizer, provenance });
    await orAbort(sink, async () => {
      await writeAll(session, plan, sink, onStage);
      const path = await sink.finish();
      // Its header must be what was planned.
      await (format === 'gguf' ? openGguf(path) : openCheckpoint(path));
      engine.throwIfAborted();
      await sink.commit([]);
    });
  } finally {
    session.dispose();
  }
  const notes = [
    ...otherwise,
    ...plan.notes,
    ...codeWarnings([...plan.dropped, ...tokenizer.dropped]),
  ];
  const types = takenOver && format === 'gguf' ? quantisedTypes(source).join('+') : dtype;
  return { output, format, dtype: types.toLowerCase(), kind: plan.kind, notes };
}

/** Tensors in the order of the plan, in which those of a block stand together; one block is in memory at a time. */
async function writeAll(
  session: Session,
  plan: ExportPlan,
  sink: Sink,
  onStage: OnStage | undefined,
): Promise<void> {
  const { tensors } = plan;
  const { blocks } = session.architecture;
  const report = stageReporter(onStage, 'write', blocks.length);
  await appendCopied(session, plan, sink);
  for (let at = 0; at < tensors.length; ) {
    const { block: index } = tensors[at]!;
    const end = tensors.findIndex(({ block }, i) => i > at && block !== index);
    const run = tensors.slice(at, end === -1 ? undefined : end);
    at += run.length;
    if (index === null) {
      for (const tensor of run) {
        await appendAll(session, sink, tensor.name, encodeOutsideTensor(session, tensor));
      }
      continue;
    }
    await using(await session.loadBlock(index), async (block) => {
      for (const tensor of run) {
        await appendAll(session, sink, tensor.name, encodeBlockTensor(session, tensor, block));
      }
    });
    report(index + 1, `block ${index + 1} of ${blocks.length}`, index);
  }
}

async function appendAll(
  { engine }: Session,
  sink: Sink,
  name: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of chunks) {
    engine.throwIfAborted();
    await sink.append(name, chunk);
  }
}
