import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AtomicFolder, orAbort } from '../../checkpoint/atomic';
import { configText } from '../../checkpoint/config-text';
import { type GgufEntry, storageBytes } from '../../checkpoint/container';
import type { ExportPlan, PlannedTensor } from '../../checkpoint/export';
import { GgufWriter } from '../../checkpoint/gguf-writer';
import { asOutput } from '../../checkpoint/output-error';
import { pieces } from '../../checkpoint/pieces';
import { SafetensorsWriter } from '../../checkpoint/safetensors-writer';
import { using } from '../../engine/owned';
import type { Session } from '../../engine/session';
import { type OnStage, stageReporter } from '../../progress';
import type { Journal } from '../../pruning/journal/journal';
import type { LoadBlock } from '../../tuning/passes';
import { encodeBlockTensor, encodeOutsideTensor } from './encode';
import type { TokenizerOutput } from './tokenizer-output';

/** The two containers alike. `finish` ends the weights and says where they can be opened, `commit` shows them. */
export interface Sink {
  append(name: string, bytes: Uint8Array): Promise<void>;
  finish(): Promise<string>;
  commit(extra: TokenizerOutput['files']): Promise<void>;
  abort(): Promise<void>;
}

async function ggufSink(plan: ExportPlan, target: string, options: WriterOptions): Promise<Sink> {
  const metadata = { ...plan.metadata, ...options.tokenizer.metadata, ...options.provenance };
  const { replace, work } = options;
  const writer = await GgufWriter.create(target, plan.tensors, metadata, { replace, work });
  return {
    append: (name, bytes) => writer.append(name, bytes),
    finish: () => writer.finish(),
    commit: () => writer.close(),
    abort: () => writer.abort(),
  };
}

async function folderSink(
  plan: ExportPlan,
  target: string,
  { replace, work, tokenizer, maxShardBytes }: WriterOptions,
): Promise<Sink> {
  const folder = await AtomicFolder.create(target, { replace, work });
  const put = async (files: TokenizerOutput['files']) => {
    for (const { name, text } of files) {
      const path = join(folder.path, name);
      await asOutput(target, async () => {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, text);
      });
    }
  };
  return orAbort(folder, async () => {
    const config = configText(plan.config!, plan.floats);
    await put([...plan.files, ...tokenizer.files, { name: 'config.json', text: config }]);
    const { tensors, copied } = plan;
    const writer = await SafetensorsWriter.create(folder.path, tensors, { maxShardBytes, copied });
    return {
      append: (name, bytes) => writer.append(name, bytes),
      finish: () => writer.close().then(() => folder.path),
      commit: (extra) =>
        orAbort(folder, async () => {
          await put(extra);
          await folder.commit();
        }),
      abort: async () => {
        await writer.abort();
        await folder.abort();
      },
    };
  });
}

export interface WriterOptions {
  replace: boolean;
  /** Folder for what is half written; beside the target when left out. */
  work?: string;
  maxShardBytes?: number;
  tokenizer: TokenizerOutput;
  /** gguf: where the file comes from, as metadata. */
  provenance: Record<string, GgufEntry>;
}

/** Opens what a planned checkpoint goes into. Nothing is at the target before commit(). @throws ERR_OUTPUT */
export function openSink(plan: ExportPlan, target: string, options: WriterOptions): Promise<Sink> {
  return (plan.format === 'gguf' ? ggufSink : folderSink)(plan, target, options);
}

/** Appends what goes as the source has it: in pieces, for it may be more than the memory holds. */
export async function appendCopied(
  { engine, source }: Session,
  { copied }: ExportPlan,
  sink: Sink,
): Promise<void> {
  for (const { name, file, offset, bytes } of copied) {
    for await (const piece of pieces(source.files[file]!, { start: offset, end: offset + bytes })) {
      engine.throwIfAborted();
      await sink.append(name, piece);
    }
  }
}

/**
 * Appends all tensors in the order of the plan: those of the blocks as the journal holds them or as `load` has them, the
 * others from the session's source. Returns the path under which the checkpoint can be opened before it is shown.
 */
export async function writeTensors(
  session: Session,
  plan: ExportPlan,
  journal: Journal,
  sink: Sink,
  onProgress: OnStage | undefined,
  load?: LoadBlock,
): Promise<string> {
  const blocks = session.architecture.blocks.length;
  const report = stageReporter(onProgress, 'write', blocks);
  const append = async (tensor: PlannedTensor, chunks: AsyncIterable<Uint8Array>) => {
    for await (const chunk of chunks) {
      session.engine.throwIfAborted();
      await sink.append(tensor.name, chunk);
    }
    const { block } = tensor;
    if (block !== null) report(block + 1, `block ${block + 1} of ${blocks}`, block);
  };
  await appendCopied(session, plan, sink);
  for (const { block, tensors } of partsOf(plan.tensors)) {
    if (block === null) {
      for (const tensor of tensors) await append(tensor, encodeOutsideTensor(session, tensor));
    } else if (load) {
      await using(await load(block), async (loaded) => {
        for (const tensor of tensors)
          await append(tensor, encodeBlockTensor(session, tensor, loaded));
      });
    } else {
      let start = 0;
      for (const tensor of tensors) {
        const end = start + storageBytes(tensor.dtype, tensor.shape);
        await append(tensor, journal.blockBytes(block, start, end));
        start = end;
      }
    }
  }
  return sink.finish();
}

/** Tensors in their order, those of a block together. */
function partsOf(planned: readonly PlannedTensor[]) {
  const parts: { block: number | null; tensors: PlannedTensor[] }[] = [];
  for (const tensor of planned) {
    const last = parts.at(-1);
    if (last?.block === tensor.block) last.tensors.push(tensor);
    else parts.push({ block: tensor.block, tensors: [tensor] });
  }
  return parts;
}
