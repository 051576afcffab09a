import { StruPruneError } from '../errors';
import type {
  Architecture,
  BlockRefs,
  BlockScales,
  Dtype,
  ModelRole,
  StoredTensor,
  TensorRef,
} from './architecture';
import { elements, modelShapes } from './axes';
import type { TensorNames } from './family';
import { fileTensors, partRefs } from './file-tensors';
import type { Quantisation } from './from-config';
import { scalesOf, scalingOf } from './stored-scaling';
import type { BlockRole } from './sublayers';

const DTYPES: readonly Dtype[] = [
  'F32',
  'F16',
  'BF16',
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q8_0',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'F8_E4M3',
  'MXFP4',
];

/** Tensors that files carry beside the weights. */
const IGNORED = [
  /rotary_emb\.inv_freq$/,
  /^rope_(freqs|factors_short|factors_long)\.weight$/,
  /\.masked_bias$/,
  /\.(attn|attention)\.bias$/,
];

/** How files hold what the architecture means. */
export interface Layout {
  /** q and k (and their biases) have `ropeHeads`. */
  interleavedRope: boolean;
  /** What weights of norms are stored less. */
  normOffset: number;
  /** As in `Stored`. */
  decayAsRate?: boolean;
  /** Of matrices whose scales lie in a tensor beside each. */
  quantisation?: Quantisation | null;
}

export interface BoundTensors {
  model: Partial<Record<ModelRole, TensorRef>>;
  blocks: BlockRefs[];
  /** Elements of all bound tensors. */
  parameters: number;
}

/**
 * Finds every tensor that the architecture needs.
 * @throws StruPruneError ERR_CHECKPOINT for missing tensors and wrong shapes, ERR_UNSUPPORTED for
 *   dtypes and for tensors that the architecture has no place for
 */
export function bindTensors(
  architecture: Architecture,
  names: TensorNames,
  stored: ReadonlyMap<string, StoredTensor>,
  where: string,
  { interleavedRope, normOffset, decayAsRate = false, quantisation }: Layout,
): BoundTensors {
  const used = new Set<string>();
  let parameters = 0;
  const fp8Blocks = quantisation?.method === 'fp8' ? quantisation.blocks : null;
  const blockScalesOf = (name: string, { dtype, shape }: StoredTensor): BlockScales | undefined => {
    if (dtype !== 'F8_E4M3') return undefined;
    if (!fp8Blocks || shape.length !== 2) {
      const what = `${where}: tensor ${name} is stored as ${dtype} without scales of blocks`;
      throw new StruPruneError('ERR_UNSUPPORTED', what, 'use the checkpoint in BF16');
    }
    const [blockRows, blockColumns] = fp8Blocks;
    const beside = `${name}_scale_inv`;
    const scales = stored.get(beside);
    if (scales === undefined) throw missing(beside, where, false);
    const due = shape.map((length, axis) => Math.ceil(length / fp8Blocks[axis]!));
    requireShape(beside, scales.shape, due, where);
    used.add(beside);
    const { file, offset, bytes } = scales;
    return {
      file,
      offset,
      bytes,
      dtype: knownDtype(scales, where),
      blockRows,
      blockColumns,
      row: 0,
    };
  };
  /** Experts in MXFP4, by the name that they have in other files. */
  const bindPacked = (name: string, shape: number[]): TensorRef => {
    const [blocks, scales] = [`${name}_blocks`, `${name}_scales`].map((part) => {
      const tensor = stored.get(part);
      if (tensor === undefined) throw missing(part, where, false);
      if (tensor.dtype !== 'U8') {
        const what = `${where}: tensor ${part} is stored as ${tensor.dtype}, not as bytes`;
        throw new StruPruneError('ERR_UNSUPPORTED', what, 'use the checkpoint in BF16');
      }
      used.add(part);
      return tensor;
    }) as [StoredTensor, StoredTensor];
    const due = [...shape.slice(0, -1), shape.at(-1)! / MXFP4_BLOCK];
    requireShape(scales.name, scales.shape, due, where);
    requireShape(blocks.name, blocks.shape, [...due, MXFP4_BLOCK / 2], where);
    const { file, offset, bytes } = scales;
    const power = { file, offset, bytes, dtype: 'F8_E8M0', row: 0 } as const;
    return {
      ...blocks,
      shape,
      dtype: 'F4_E2M1',
      scales: { ...power, blockRows: 1, blockColumns: MXFP4_BLOCK },
    };
  };
  const bind = (name: string, shape: number[]): TensorRef => {
    const tensor = stored.get(name);
    if (tensor === undefined) throw missing(name, where, name === names.model.head);
    requireShape(name, tensor.shape, shape, where);
    used.add(name);
    const scales = blockScalesOf(name, tensor);
    return { ...tensor, dtype: knownDtype(tensor, where), ...(scales && { scales }) };
  };

  const scales = { normOffset, decayAsRate, ...scalesOf(architecture) };
  const scaling = (role: string) => scalingOf(role, scales);
  const model: BoundTensors['model'] = {};
  for (const [role, shape] of Object.entries(modelShapes(architecture))) {
    const name = names.model[role as ModelRole];
    if (name === undefined) throw new Error(`no tensor name for ${role}`);
    parameters += elements(shape);
    model[role as ModelRole] = { ...bind(name, shape), ...scaling(role) };
  }
  const blocks = architecture.blocks.map((widths, block) => {
    const bound: BlockRefs = {};
    for (const tensor of fileTensors(architecture, names, block)) {
      const isPacked =
        quantisation?.method === 'mxfp4' && tensor.experts > 1 && tensor.parts[0]!.shape.length > 1;
      const whole = (isPacked ? bindPacked : bind)(tensor.name, tensor.shape);
      parameters += elements(tensor.shape);
      const refs = partRefs(whole, tensor);
      tensor.parts.forEach(({ role }, part) => {
        const heads = interleavedRope ? ropeHeads(role, widths.heads, widths.kvHeads) : undefined;
        bound[role] = {
          ...refs[part]!,
          ...(heads !== undefined && { ropeHeads: heads }),
          ...scaling(role),
        };
      });
    }
    return bound;
  });

  if (architecture.tiedEmbeddings && names.model.head) used.add(names.model.head);
  for (const name of stored.keys()) {
    if (used.has(name) || IGNORED.some((pattern) => pattern.test(name))) continue;
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${where}: a ${architecture.family} model of this configuration has no place for tensor ${name}`,
      'use a plain checkpoint of a supported family',
    );
  }
  return { model, blocks, parameters };
}

/** Heads of a role whose rows rotary positions act on; undefined for the others. */
export function ropeHeads(role: BlockRole, heads: number, kvHeads: number): number | undefined {
  if (role === 'attention.q' || role === 'attention.qBias') return heads;
  if (role === 'attention.k' || role === 'attention.kBias') return kvHeads;
  return undefined;
}

function requireShape(name: string, shape: number[], needed: number[], where: string): void {
  if (shape.join() === needed.join()) return;
  const [is, due] = [shape, needed].map((sizes) => `[${sizes.join(', ')}]`);
  throw broken(`${where}: tensor ${name} has shape ${is}, but the configuration needs ${due}`);
}

function knownDtype(tensor: StoredTensor, where: string): Dtype {
  const dtype = DTYPES.find((known) => known === tensor.dtype);
  if (dtype === undefined) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `${where}: tensor ${tensor.name} is stored as ${tensor.dtype}`,
      `convert the checkpoint to one of ${DTYPES.join(', ')}`,
    );
  }
  return dtype;
}

/** Values that share a power of two. */
export const MXFP4_BLOCK = 32;

const AGAIN = 'fetch or convert the checkpoint again';

function broken(message: string): StruPruneError {
  return new StruPruneError('ERR_CHECKPOINT', message, AGAIN);
}

/** A head that is not there may be tied to the embedding by a configuration that forgot to say so. */
function missing(name: string, where: string, head: boolean): StruPruneError {
  const tie =
    'set tie_word_embeddings to true in config.json if the model has no head of its own, or ';
  const mend = `${head ? tie : ''}${AGAIN}`;
  return new StruPruneError('ERR_CHECKPOINT', `${where}: tensor ${name} is missing`, mend);
}
