/** What calls on one model take, asked of the native side, and how that adds up. */

import type { Architecture, Dtype, ModelRole, ModelSource } from '../model/architecture';
import { blockTensors, embeddingWidth } from '../model/axes';
import { sitesOf } from '../model/blocks';
import type { Site } from '../model/sublayers';
import type { Engine } from './engine';
import { native } from './native';
import type {
  Calls,
  Factored,
  Flops,
  Needs,
  ProblemSizes,
  SiteDemand,
  StatisticsSizes,
  Tokens,
  TurnDemand,
} from './native-needs';
import { blockSpec } from './session';

export type { Flops, Needs, ProblemSizes, StatisticsSizes, Tokens } from './native-needs';

export const NOTHING: Needs = {
  memory: 0,
  scratch: 0,
  device: 0,
  passes: 1,
  sent: 0,
  flops: { single: 0, searching: 0, double: 0 },
};

/** All at the same time; a GPU has one call at a time. */
export function together(...parts: Needs[]): Needs {
  const sum = (of: (needs: Needs) => number) => parts.reduce((total, part) => total + of(part), 0);
  return {
    ...inTurn(...parts),
    memory: sum(({ memory }) => memory),
    scratch: sum(({ scratch }) => scratch),
  };
}

/** One after the other: the most of each, and the work of all. */
export function inTurn(...parts: Needs[]): Needs {
  const most = (key: 'memory' | 'scratch' | 'device' | 'passes') =>
    Math.max(NOTHING[key], ...parts.map((part) => part[key]));
  const sum = (key: keyof Flops) => parts.reduce((total, { flops }) => total + flops[key], 0);
  return {
    memory: most('memory'),
    scratch: most('scratch'),
    device: most('device'),
    passes: most('passes'),
    sent: parts.reduce((total, { sent }) => total + sent, 0),
    flops: { single: sum('single'), searching: sum('searching'), double: sum('double') },
  };
}

/** The same so many times, one after the other. */
export function times(count: number, needs: Needs): Needs {
  const { single, searching, double } = needs.flops;
  return {
    ...needs,
    sent: count * needs.sent,
    flops: { single: count * single, searching: count * searching, double: count * double },
  };
}

const NO_SINKS: SiteDemand = {
  collects: false,
  gram: false,
  feedback: false,
  keeps: false,
  inputs: 0,
};

/** Rows of the tokens that a rank has. */
export function heldRows(tokens: Tokens): number {
  return native.heldRows(tokens);
}

/** Asks about solvers, and the sums that they are made of. */
export class SolverNeedsOf {
  readonly engine: Engine;
  /** Whether of tiled matrices and of blocks only what is at hand is in memory. */
  readonly paged: boolean;
  protected readonly stored: Dtype;

  /** `stored`: what the output has the maps in. */
  constructor(engine: Engine, stored: Dtype, paged: boolean) {
    this.engine = engine;
    this.paged = paged;
    this.stored = stored;
  }

  /** Sums of a site's inputs, as long as they live. */
  statistics(dim: number, { gram, residual = 0 }: { gram: boolean; residual?: number }): Needs {
    return this.ask('statistics', { dim, gram, residual, paged: this.paged });
  }

  /** A solver at rest, or while it is made or searches. */
  solver(call: 'solver' | 'createSolver' | 'admm', problem: ProblemSizes): Needs {
    return this.ask(call, { problem, paged: this.paged });
  }

  sweep(problem: ProblemSizes, removed: number): Needs {
    return this.ask('sweep', { problem, paged: this.paged, removed });
  }

  swap(problem: ProblemSizes, kept: number): Needs {
    return this.ask('swap', { problem, paged: this.paged, kept });
  }

  refit(problem: ProblemSizes, kept: number): Needs {
    return this.ask('refit', { problem, paged: this.paged, kept, stored: this.stored });
  }

  slice(problem: ProblemSizes, kept: number): Needs {
    return this.ask('slice', { problem, paged: this.paged, kept });
  }

  protected ask<Name extends keyof Calls>(call: Name, of: Calls[Name]): Needs {
    return native.needsOf(this.engine.handle, call, of);
  }
}

/** Asks about calls of one engine on one model. */
export class NeedsOf extends SolverNeedsOf {
  readonly architecture: Architecture;
  readonly #tensors: readonly ModelRole[];

  /** `stored`: what the output has the blocks' matrices in. */
  constructor(engine: Engine, source: ModelSource, stored: Dtype, paged: boolean) {
    super(engine, stored, paged);
    this.architecture = source.architecture;
    this.#tensors = Object.keys(source.model) as ModelRole[];
  }

  matrix(rows: number, cols: number): Needs {
    return this.ask('matrix', { rows, cols });
  }

  /** Hidden states, as long as they live. */
  states(rows: number): Needs {
    return this.matrix(rows, this.architecture.hidden);
  }

  /** What states keep of a block's input from its attention to its FFN, where these read it side by side. */
  blockInput(rows: number): Needs {
    return this.architecture.parallel ? this.states(rows) : NOTHING;
  }

  copyStates(tokens: Tokens): Needs {
    return this.ask('copyMatrix', { tokens, cols: this.architecture.hidden });
  }

  /** A loaded block, as long as it is. */
  block(index: number): Needs {
    const { paged } = this;
    return this.ask('loadBlock', { ...this.#block(index), roles: this.#roles(index), paged });
  }

  /** Its tensors as they go to a file, of rows with so many bytes as floats at a time. */
  encode(index: number, bytes: number): Needs {
    return this.ask('encodeBlock', { ...this.#block(index), roles: this.#roles(index), bytes });
  }

  /** Takes the states on through a site. */
  site(index: number, site: Site, tokens: Tokens, demand: Partial<SiteDemand> = {}): Needs {
    const { paged } = this;
    const wanted = { ...NO_SINKS, ...demand };
    return this.ask('runSite', { ...this.#block(index), site, tokens, paged, ...wanted });
  }

  /** Takes the states on through all sites of a block. */
  sites(index: number, tokens: Tokens): Needs {
    return together(
      tokens.paged ? NOTHING : this.blockInput(tokens.rows),
      inTurn(...sitesOf(this.architecture, index).map((at) => this.site(index, at, tokens))),
    );
  }

  /** Sums of experts over the states, which stay. `residual`: with what is missing of the output. */
  sumExperts(index: number, site: Site, tokens: Tokens, residual: boolean): Needs {
    const { paged } = this;
    return this.ask('sumExperts', { ...this.#block(index), site, tokens, paged, residual });
  }

  /** The turn of an expert with its share of the tokens, beside the statistics. */
  turnExpert(index: number, site: Site, tokens: Tokens, demand: TurnDemand): Needs {
    const { paged } = this;
    return this.ask('turnExpert', { ...this.#block(index), site, tokens, paged, ...demand });
  }

  applySite(index: number, site: Site, tokens: Tokens): Needs {
    return this.ask('applySite', { ...this.#block(index), site, tokens });
  }

  /** With its sums, which live `until` that; `factors` and a `rank`: of which tensors they are gradients. */
  backward(
    index: number,
    tokens: Tokens,
    sums: readonly StatisticsSizes[],
    {
      factors = 'none',
      rank = 0,
      until = NOTHING,
    }: { factors?: Factored; rank?: number; until?: Needs } = {},
  ): Needs {
    const { paged } = this;
    const pass = { ...this.#block(index), tokens, paged, sums, factors, rank };
    return together(
      ...sums.map(({ dim, ...sizes }) => this.statistics(dim, sizes)),
      inTurn(this.ask('backwardBlock', pass), until),
    );
  }

  ends(
    call:
      | 'embed'
      | 'score'
      | 'expectHead'
      | 'divergenceFrom'
      | 'headGradient'
      | 'divergenceGradient',
    tokens: Tokens,
    vocab = this.architecture.vocab,
  ): Needs {
    const { hidden, logitCap } = this.architecture;
    const width = embeddingWidth(this.architecture);
    const capped = logitCap !== null;
    const ends = { hidden, vocab, embeddingWidth: width, tensors: this.#tensors, capped };
    return this.ask(call, { ends, tokens });
  }

  /** The refit of gate and up on so many channels. `steps` null: by auxiliary variables. */
  inputRefit(
    { block, site }: { block: number; site: Site },
    refit: {
      channels: number;
      tokens: Tokens;
      inputs: number;
      taken: number;
      rounds: number;
      steps: number | null;
    },
  ): Needs {
    const { steps, ...rest } = refit;
    const of = {
      ...this.#block(block),
      site,
      ...rest,
      stored: this.stored,
      paged: this.paged,
    };
    return steps === null ? this.ask('auxiliary', of) : this.ask('gaussNewton', { ...of, steps });
  }

  #roles(index: number) {
    return blockTensors(this.architecture, index).map(({ role }) => role);
  }

  #block(index: number) {
    return { block: blockSpec(this.architecture, index) };
  }
}
