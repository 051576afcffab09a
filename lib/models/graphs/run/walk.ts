/** A graph on its way through its segments: what lies on the cut behind those that were run is stored. */
import type { OnnxFile } from '../onnx/file';
import { ALL, type Batches, type Some, StoredBatches } from './batches';
import type { Trial } from './blocks';
import type { Activation, Activations, Runtime } from './runtime';
import type { Segment, Segments } from './segments';

export interface Walked {
  file: OnnxFile;
  segments: Segments;
  runtime: Runtime;
  samples: Batches;
  /** Of the files for what lies on cuts: walks at the same time have different ones. */
  name?: string;
  /** Called between batches; may throw. */
  between(): void;
}

/** Gets values of a batch: of all that it asked for some at a time. */
export type Visit = (values: Activations, batch: number) => void | Promise<void>;

/** Keeps all of them, batch after batch. */
export function keepIn(kept: Record<string, Activation>[]): Visit {
  return (values, batch) => {
    kept[batch] = { ...kept[batch], ...values };
  };
}

interface Visited {
  wanted: ReadonlySet<string>;
  visit: Visit;
  /** Which batches. */
  some: Some;
  /** The number of the first one. */
  first: number;
  /** Of the trial that this is, where sessions are shared. */
  trial?: Trial | undefined;
}

const NONE: ReadonlySet<string> = new Set();
const NOTHING: Visited = { wanted: NONE, visit: () => {}, some: ALL, first: 0 };

export class Walk implements Disposable {
  /** The next segment, and what lies in front of it. */
  private at = 0;
  private held: Batches;
  private files = 0;

  constructor(private readonly around: Walked) {
    this.held = around.samples;
  }

  /** Goes on to the beginning of a segment, through the graph as it is now. */
  async to(segment: number): Promise<void> {
    while (this.at < segment) {
      const next = await this.step(this.held, this.around.segments.joined(this.at++));
      dispose(this.held);
      this.held = next;
    }
  }

  /**
   * Runs the graph, as it is now, from here until all `wanted` values of these batches were visited. Stays where it is.
   * A `trial` goes block by block and shares the sessions behind its own block with others.
   */
  async visit(wanted: Iterable<string>, visit: Visit, asked = ALL, trial?: Trial): Promise<void> {
    const first = asked.from;
    const left = new Set(wanted);
    const { segments, between } = this.around;
    const stored = new Set(this.held.inputs.map(({ name }) => name));
    const here = new Set([...left].filter((name) => stored.has(name)));
    if (here.size > 0) {
      let batch = first;
      for (const values of this.held.read(asked)) {
        between();
        await visit(picked(values, here), batch++);
      }
      for (const name of here) left.delete(name);
    }
    let held = this.held;
    for (let at = this.at; left.size > 0; ) {
      const end = trial ? segments.inBlock(at) : segments.together(at);
      const { nodes, made, live } = segments.joined(at, end);
      const wanted = new Set([...left].filter((name) => made.has(name)));
      for (const name of wanted) left.delete(name);
      const part = { nodes, made, live: left.size > 0 ? live : NONE };
      const before = held;
      try {
        // Behind a step only those batches are left.
        const isFirst = before === this.held;
        const [some, shared] = isFirst ? [asked] : [ALL, trial];
        held = await this.step(before, part, { wanted, visit, some, first, trial: shared });
      } finally {
        if (before !== this.held) dispose(before);
      }
      at = end;
    }
    if (held !== this.held) dispose(held);
  }

  [Symbol.dispose](): void {
    dispose(this.held);
  }

  /** Gives what lies behind a segment. */
  private async step(
    from: Batches,
    { nodes, made, live }: Segment,
    { wanted, visit, some, first, trial }: Visited = NOTHING,
  ): Promise<Batches> {
    const { file, runtime, between, name = 'cut' } = this.around;
    const outputs = [...made].filter((name) => wanted.has(name) || live.has(name));
    const next = new StoredBatches(runtime.fileFor(`${name}-${this.files++}`), runtime);
    try {
      const part = { inputs: from.inputs, nodes, outputs };
      const opened = () =>
        trial ? trial.blocks.lend(part, trial.changed) : runtime.part(file, part);
      await using session = outputs.length > 0 ? await opened() : null;
      let batch = first;
      for (const values of from.read(some)) {
        between();
        const all = { ...values, ...(session && (await session.run(values))) };
        if (wanted.size > 0) await visit(picked(all, wanted), batch);
        next.put(picked(all, live));
        batch++;
      }
      return next;
    } catch (error) {
      next[Symbol.dispose]();
      throw error;
    }
  }
}

function picked(values: Activations, names: ReadonlySet<string>): Activations {
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.has(name)));
}

function dispose(batches: Batches): void {
  if (batches instanceof StoredBatches) batches[Symbol.dispose]();
}
