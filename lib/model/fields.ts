import { StruPruneError } from '../errors';

/** Largest width, count or vocabulary that a checkpoint may claim; real models stay far below. */
const MAX_SIZE = 2 ** 28;

/** Typed, checked access to the keys of a config.json or of GGUF metadata. */
export class Fields {
  constructor(
    private readonly values: Record<string, unknown>,
    /** Names the file in messages. */
    private readonly where: string,
  ) {}

  raw(key: string): unknown {
    return this.values[key];
  }

  /** A whole number ≥ 1. @throws StruPruneError ERR_CHECKPOINT */
  size(key: string): number {
    return this.checkSize(key, this.values[key]);
  }

  /** As size; undefined where the key is absent or null. */
  optionalSize(key: string): number | undefined {
    const value = this.values[key];
    return value === undefined || value === null ? undefined : this.checkSize(key, value);
  }

  /** One number ≥ `least` a block: an array, or one number for all. @throws ERR_CHECKPOINT */
  perBlock(key: string, blocks: number, least: 0 | 1): number[] {
    const value = this.values[key];
    if (!isList(value)) return new Array<number>(blocks).fill(this.checkSize(key, value, least));
    if (value.length !== blocks) {
      throw this.bad(key, `has ${value.length} entries for ${blocks} blocks`);
    }
    return Array.from(value, (entry) => this.checkSize(key, entry, least));
  }

  /** A finite number > 0. @throws StruPruneError ERR_CHECKPOINT */
  positive(key: string): number {
    const value = Number(this.values[key]);
    if (!(value > 0 && Number.isFinite(value))) throw this.bad(key, 'must be a number above 0');
    return value;
  }

  flag(key: string): boolean {
    const value = this.values[key];
    if (typeof value !== 'boolean') throw this.bad(key, 'must be true or false');
    return value;
  }

  text(key: string): string {
    const value = this.values[key];
    if (typeof value !== 'string') throw this.bad(key, 'must be a string');
    return value;
  }

  /** A token id, the first where there is a list of them; null where there is none. */
  tokenId(key: string): number | null {
    const value = this.values[key];
    const first: unknown = Array.isArray(value) ? value[0] : value;
    return Number.isSafeInteger(Number(first)) && first !== null && first !== undefined
      ? Number(first)
      : null;
  }

  bad(key: string, what: string): StruPruneError {
    const shown = key in this.values ? ` (it is ${JSON.stringify(this.values[key], plain)})` : '';
    return new StruPruneError(
      'ERR_CHECKPOINT',
      `${this.where}: ${key} ${what}${shown.slice(0, 80)}`,
      'fetch or convert the checkpoint again',
    );
  }

  private checkSize(key: string, value: unknown, least: 0 | 1 = 1): number {
    if (value === undefined) throw this.bad(key, 'is missing');
    // GGUF's 64-bit numbers may come as bigint.
    const size = typeof value === 'bigint' ? Number(value) : value;
    if (
      typeof size !== 'number' ||
      !Number.isSafeInteger(size) ||
      size < least ||
      size > MAX_SIZE
    ) {
      throw this.bad(key, `must be a whole number from ${least} to ${MAX_SIZE}`);
    }
    return size;
  }
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && 'length' in value);
}

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}
