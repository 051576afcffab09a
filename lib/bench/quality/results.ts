import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn } from '../../checkpoint/output-path';
import {
  type BenchEntry,
  type BenchQuality,
  type BenchRow,
  type BenchSurvey,
  entrySchema,
} from '../../documents/bench';
import { Journal, keyOf } from '../journal';
import { removeBench } from '../output';

type Dense = BenchQuality['dense'];

const SURVEY_FILE = /^survey-[\da-f]{16}\.safetensors$/;
const surveyFile = (key: string) => `survey-${keyOf(key).slice(0, 16)}.safetensors`;

/** What a run has found so far, in a journal on the disk. */
export class Results {
  readonly folder: string;
  readonly #journal: Journal<BenchEntry>;
  readonly #rows = new Map<string, BenchRow>();
  readonly #surveys = new Map<string, BenchSurvey>();
  #dense: Dense | null = null;

  private constructor(folder: string, journal: Journal<BenchEntry>) {
    this.folder = folder;
    this.#journal = journal;
    for (const entry of journal.entries) {
      if ('dense' in entry) this.#dense = entry.dense;
      else if ('survey' in entry) this.#surveys.set(entry.survey.key, entry.survey);
      else this.#rows.set(entry.key, entry.row);
    }
  }

  /** @throws StruPruneError ERR_OUTPUT where the folder holds results of other conditions */
  static async open(folder: string, conditions: unknown, replace: boolean): Promise<Results> {
    const journal = await Journal.open(
      join(folder, 'rows.jsonl'),
      entrySchema,
      conditions,
      replace,
    );
    const results = new Results(folder, journal);
    if (replace) await results.#removeSurveys();
    // Until there is a new one, the old document would be taken for what is here.
    if (journal.replaced) await removeBench(folder, 'quality');
    return results;
  }

  /** The file of a survey. */
  surveyPath(key: string): string {
    return join(this.folder, surveyFile(key));
  }

  /** Those that belong to results which were thrown away. */
  async #removeSurveys(): Promise<void> {
    const known = new Set([...this.#surveys.keys()].map(surveyFile));
    for (const name of await namesIn(this.folder)) {
      if (!SURVEY_FILE.test(name) || known.has(name)) continue;
      await rm(join(this.folder, name), { force: true });
    }
  }

  /** Of the conditions. */
  get key(): string {
    return this.#journal.key;
  }

  get dense(): Dense | null {
    return this.#dense;
  }

  /** Lines of the journal that are lost. */
  get damaged(): number {
    return this.#journal.damaged;
  }

  /** All of the journal by their keys, asked for or not. */
  get rows(): ReadonlyMap<string, BenchRow> {
    return this.#rows;
  }

  get surveys(): BenchSurvey[] {
    return [...this.#surveys.values()];
  }

  row(key: string): BenchRow | undefined {
    return this.#rows.get(key);
  }

  async addDense(dense: Dense): Promise<void> {
    await this.#journal.add({ dense });
    this.#dense = dense;
  }

  async addSurvey(survey: BenchSurvey | null): Promise<void> {
    if (!survey || this.#surveys.has(survey.key)) return;
    await this.#journal.add({ survey });
    this.#surveys.set(survey.key, survey);
  }

  async addRow(key: string, row: BenchRow): Promise<void> {
    await this.#journal.add({ key, row });
    this.#rows.set(key, row);
  }
}
