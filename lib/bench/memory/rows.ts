import { join } from 'node:path';
import {
  type BenchMemoryEntry,
  type BenchMemoryRow,
  memoryEntrySchema,
} from '../../documents/bench';
import { Journal } from '../journal';

/** Finished runs, in a journal on the disk: the larger models take hours. */
export class MemoryRows {
  readonly #journal: Journal<BenchMemoryEntry>;
  readonly #rows = new Map<string, BenchMemoryRow>();

  private constructor(journal: Journal<BenchMemoryEntry>) {
    this.#journal = journal;
    for (const { key, row } of journal.entries) this.#rows.set(key, row);
  }

  /** @throws StruPruneError ERR_OUTPUT where the folder holds rows of other conditions */
  static async open(folder: string, conditions: unknown, replace: boolean): Promise<MemoryRows> {
    const path = join(folder, 'memory-rows.jsonl');
    return new MemoryRows(await Journal.open(path, memoryEntrySchema, conditions, replace));
  }

  has(key: string): boolean {
    return this.#rows.has(key);
  }

  /** The finished row of that name, or the one that `make` gives. */
  async get(key: string, make: () => Promise<BenchMemoryRow>): Promise<BenchMemoryRow> {
    const known = this.#rows.get(key);
    if (known) return known;
    const row = await make();
    await this.#journal.add({ key, row });
    this.#rows.set(key, row);
    return row;
  }
}
