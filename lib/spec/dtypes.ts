/** What the output's tensors are stored as, where nobody says so: as near to the source as a file of ours can. */
import { bytesEach, fitsBlocks, hasScalesApart, isQuantised } from '../checkpoint/container';
import { type ExportDtype, type ExportRequest, storedAs } from '../checkpoint/export';
import type { RefitRecipe } from '../methods';
import type { Architecture, Dtype, ModelSource, Stored, TensorRef } from '../model/architecture';
import { blockTensors, elements, embeddingWidth } from '../model/axes';
import { type BlockRole, routes, siteOf } from '../model/sublayers';
import type { Settings } from '../options';
import { cutsChannels, cutsInsideExperts, reaches } from '../options/method';
import { DTYPES } from '../options/output';
import type { Layer, TargetFacts } from './widths';

const FFN_MATRICES: readonly BlockRole[] = ['ffn.gate', 'ffn.up', 'ffn.out'];

/** The matrices of its blocks that a file may have in few bits. */
export function matricesOf(architecture: Architecture): BlockRole[] {
  const roles = architecture.blocks.flatMap((_, block) =>
    blockTensors(architecture, block)
      .filter(({ role, axes }) => axes.length > 1 && !routes(role))
      .map(({ role }) => role),
  );
  return [...new Set(roles)];
}

/** What stands for K types and for mixtures, by bits: blocks with a scale and a least value. */
const STAND_INS: readonly ExportDtype[] = ['Q4_1', 'Q5_1', 'Q8_0'];

/** Bytes of a group, one a layer, and the fewest of a weight; undefined where every weight has the bytes of `dtype`. */
export function mixedBytes({
  source,
  dtype,
  stored,
  layers,
}: {
  source: ModelSource;
  dtype: Dtype;
  stored: Stored;
  layers: readonly Layer[];
}): TargetFacts['mixed'] {
  const perGroup = Float64Array.from(layers, ({ block, site, groups }) => {
    let bytes = 0;
    for (const { role, axes, unit } of blockTensors(source.architecture, block)) {
      const goes = unit?.site === site || axes.some((axis) => axis.site === site);
      if (axes.length === 1 || !goes) continue;
      const ref = source.blocks[block]![role]!;
      const type = stored.asSource.includes(role) ? ref.dtype : stored.matrices;
      bytes += elements(ref.shape) * bytesEach(type);
    }
    return bytes / groups;
  });
  const each = layers.map(({ cost }, l) => perGroup[l]! / cost);
  const isOther = (bytes: number) => Math.abs(bytes / bytesEach(dtype) - 1) > 1e-9;
  return each.some(isOther) ? { perGroup, each: Math.min(...each) } : undefined;
}

/** Matrices that stay as they are or lose whole rows. */
export function rowsIn(
  architecture: Architecture,
  scope: Settings['scope'],
  { output, inputs }: RefitRecipe,
): readonly BlockRole[] {
  const changed: BlockRole[] = [];
  if (reaches(scope, 'attention')) changed.push('attention.out');
  if (reaches(scope, 'ffn'))
    changed.push(...(inputs.by === 'none' ? ['ffn.out' as const] : FFN_MATRICES));
  const loses = cutsInsideExperts(scope) || (scope === 'experts' && output === 'exact');
  const isRefitted = (role: BlockRole) => loses && /^experts\.\d+\.out$/.test(role);
  return matricesOf(architecture).filter((role) => !changed.includes(role) && !isRefitted(role));
}

/**
 * Whether what is not refitted keeps the types of a quantised source: in a GGUF file, unless there is a `--dtype` by which
 * some matrix would have another one.
 */
export function keepsTypes(
  source: ModelSource,
  { dtype, format }: Pick<Settings, 'dtype' | 'format'>,
): boolean {
  if (format !== 'gguf' || quantisedTypes(source).length === 0) return false;
  return dtype === undefined || hasAlready(source, dtype.toUpperCase() as ExportDtype);
}

/**
 * `roles`, where keepsTypes() says that they keep the source's types; in a folder experts in MXFP4, where no dtype is asked for, and
 * `packs` where some of them are not among `roles`.
 */
export function takenOverFrom(
  source: ModelSource,
  asked: Pick<Settings, 'dtype' | 'format'> & Partial<Pick<Settings, 'scope' | 'multiple'>>,
  roles: readonly BlockRole[],
): ExportRequest['takenOver'] {
  if (keepsTypes(source, asked)) return { source, roles };
  const packed = packedRoles(source);
  if (asked.format === 'gguf' || asked.dtype !== undefined || packed.length === 0) return undefined;
  if (packed.every((role) => roles.includes(role))) return { source, roles: packed };
  return packsAgain(source, asked) ? { source, roles, packs: true } : undefined;
}

/** Whether rows stay whole blocks, and what is no expert's is in the type of all else in such a folder. */
function packsAgain(
  { blocks }: ModelSource,
  { scope = 'all', multiple }: Partial<Pick<Settings, 'scope' | 'multiple'>>,
): boolean {
  const fits = !cutsChannels(scope) || multiple === undefined || fitsBlocks('MXFP4', [multiple]);
  const others = blocks
    .flatMap((refs) => Object.values(refs))
    .filter(({ shape, dtype }) => shape.length > 1 && dtype !== 'F4_E2M1');
  return fits && others.every(({ dtype }) => dtype === 'BF16');
}

/** Matrices of blocks in MXFP4. */
function packedRoles({ architecture, blocks }: ModelSource): BlockRole[] {
  return matricesOf(architecture).filter((role) =>
    blocks.some((refs) => refs[role]?.dtype === 'F4_E2M1'),
  );
}

function hasAlready({ architecture, model, blocks }: ModelSource, dtype: ExportDtype): boolean {
  const { matrices, ends } = storedAs({ architecture, format: 'gguf', dtype });
  const all = (parts: readonly Record<string, TensorRef>[], type: Dtype | null) =>
    parts
      .flatMap((refs) => Object.entries(refs))
      .every(([role, ref]) => ref.shape.length === 1 || routes(role) || ref.dtype === type);
  return all(blocks, matrices) && all([model], ends);
}

/** `q k v gate up: Q4_0; o down: Q5_1; outside: Q8_0`. */
export function storedTypes(
  { architecture, model, blocks }: ModelSource,
  { asSource, matrices, ends }: Stored,
): string {
  const typesOf = (refs: (TensorRef | undefined)[]) => {
    const held = refs.filter((ref) => ref !== undefined && ref.shape.length > 1);
    return [...new Set(held.map((ref) => ref!.dtype))].join(' and ');
  };
  const roles = new Map<string, Set<string>>();
  for (const role of matricesOf(architecture)) {
    const types = asSource.includes(role) ? typesOf(blocks.map((refs) => refs[role])) : matrices;
    roles.set(types, (roles.get(types) ?? new Set()).add(ofAnyExpert(role)));
  }
  const inside = [...roles].map(([types, names]) => `${[...names].join(' ')}: ${types}`);
  return [...inside, `outside: ${ends ?? typesOf(Object.values(model))}`].join('; ');
}

/** Which type is new in a file whose other matrices keep theirs. */
export function typeNotes({
  source,
  dtype,
  stored,
  takenOver,
}: {
  source: ModelSource;
  dtype: ExportDtype;
  stored: Stored;
  takenOver: ExportRequest['takenOver'];
}): string[] {
  const types = quantisedTypes(source);
  if (!takenOver || types.length === 0 || (types.length === 1 && types[0] === dtype)) return [];
  const refitted = matricesOf(source.architecture).filter(
    (role) => !stored.asSource.includes(role),
  );
  if (refitted.length === 0) return [];
  const names = [...new Set(refitted.map(ofAnyExpert))].join(', ');
  return [`${names}: ${dtype}; every other matrix: as the source has it`];
}

/** `experts.up` of `experts.3.up`. */
function ofAnyExpert(role: BlockRole): string {
  return role.replace(/\.\d+\./, '.');
}

/** The asked dtype, or what is nearest to the source's own in a file of the format; F16 where widths do not fit. */
export function dtypeFor(
  source: ModelSource,
  {
    dtype,
    format,
    scope = 'all',
    multiple,
  }: Pick<Settings, 'dtype' | 'format'> & Partial<Pick<Settings, 'scope' | 'multiple'>>,
): ExportDtype {
  if (dtype) return dtype.toUpperCase() as ExportDtype;
  if (format !== 'gguf' && quantisedTypes(source).length > 0) return 'F16';
  const own = refittedAs(source, scope);
  if (!isQuantised(own)) return own;
  return cutsChannels(scope) && multiple !== undefined && !fitsBlocks(own, [multiple])
    ? 'F16'
    : own;
}

/**
 * The type that the source's o and down (of them those in scope; else those of experts) share, where files of ours can have it; of several quantised ones the narrowest
 * stand-in with as many bits as they have on average; of several unquantised ones the first, and BF16 for FP8 and MXFP4 of folders. F16 where rows of some matrix are
 * no whole blocks.
 */
function refittedAs({ architecture, blocks }: ModelSource, scope: Settings['scope']): ExportDtype {
  const inScope = (role: string) =>
    role.endsWith('.out') &&
    (reaches(scope, siteOf(role)) || reaches(scope, role.slice(0, -'.out'.length)));
  const refs = blocks
    .flatMap((refs) => Object.entries(refs))
    .flatMap(([role, ref]) => (inScope(role) ? [ref] : []));
  const types = new Set(refs.map(({ dtype }) => dtype));
  const [own] = types;
  if (own === undefined) return 'F16';
  const quantised = [...types].some(isQuantised);
  if (!quantised || types.size === 1) {
    if (isWritten(own)) return fitting(architecture, own);
    if (!quantised) return [...types].some(hasScalesApart) ? 'BF16' : 'F16';
  }
  const weights = refs.reduce((sum, { shape }) => sum + elements(shape), 0);
  const mean = refs.reduce((sum, { bytes }) => sum + bytes, 0) / weights;
  return fitting(architecture, STAND_INS.find((type) => bytesEach(type) >= mean) ?? 'F16');
}

function fitting(architecture: Architecture, type: ExportDtype): ExportDtype {
  const columns = architecture.blocks.flatMap(({ ffn, heads }) => [
    ffn,
    heads * architecture.headDim,
  ]);
  const all = [architecture.hidden, embeddingWidth(architecture), ...columns];
  return all.every((width) => fitsBlocks(type, [width])) ? type : 'F16';
}

/** What the source's blocks are quantised in, each type once; where they are not, what lies outside of them. */
export function quantisedTypes({ model, blocks }: ModelSource): Dtype[] {
  const typesIn = (parts: readonly Record<string, TensorRef>[]) => {
    const types = parts.flatMap((tensors) => Object.values(tensors)).map(({ dtype }) => dtype);
    return [...new Set(types)].filter(isQuantised);
  };
  const inBlocks = typesIn(blocks);
  return inBlocks.length > 0 ? inBlocks : typesIn([model]);
}

function isWritten(dtype: Dtype): dtype is ExportDtype {
  return (DTYPES as readonly string[]).includes(dtype.toLowerCase());
}
