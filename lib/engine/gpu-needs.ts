/** What a run needs of an engine's GPU, asked before any of it runs. */
import type { Architecture } from '../model/architecture';
import { embeddingWidth } from '../model/axes';
import type { Engine } from './engine';
import { native, type Site } from './native';
import { SCORE_ROWS } from './native-bytes';
import type { FfnDemand, NativeGpuPlan, SiteDemand } from './native-gpu';
import { blockSpec } from './session';
import { DOUBLE, TILE_SIDE } from './tile-bytes';

/** Rows that a sweep has there beside its factors (doubles.cpp). */
const SWEEP_ROWS = 66;

export class GpuNeeds {
  /** Most of the GPU's memory among what was asked about, and most ways over the tokens. */
  peakBytes = 0;
  passes = 1;
  readonly #engine: Engine;
  readonly #architecture: Architecture;

  private constructor(engine: Engine, architecture: Architecture) {
    this.#engine = engine;
    this.#architecture = architecture;
  }

  /** null where the engine has no GPU. */
  static of(engine: Engine, architecture: Architecture): GpuNeeds | null {
    return engine.device === 'cpu' ? null : new GpuNeeds(engine, architecture);
  }

  /** Of runSite. @throws StruPruneError ERR_BUDGET when the GPU's memory cannot hold one window of the site */
  site(block: number, site: Site, demand: SiteDemand): NativeGpuPlan {
    const spec = blockSpec(this.#architecture, block);
    return this.#noted(native.planSite(this.#engine.handle, spec, site, demand));
  }

  /**
   * Of a pass of an FFN's least squares on `width` channels or fewer: how many stay is known later, and where the budget
   * binds, fewer of them fit in larger pieces. @throws StruPruneError ERR_BUDGET
   */
  ffn(width: number, demand: FfnDemand): NativeGpuPlan {
    const [first, ...others] = this.#architecture.blocks;
    const spec = blockSpec(
      { ...this.#architecture, blocks: [{ ...first!, ffn: width }, ...others] },
      0,
    );
    const plan = this.#noted(native.planFfn(this.#engine.handle, spec, 'ffn', demand));
    if (plan.passes > 1 || plan.flight < demand.page) {
      this.peakBytes = native.gpuMemoryOf(this.#engine.handle)!.limit;
    }
    return plan;
  }

  /** Of the head over so many tokens, with the means of its rows or without. @throws StruPruneError ERR_BUDGET */
  head(tokens: number, means: boolean): NativeGpuPlan {
    const { vocab } = this.#architecture;
    const shape = { width: embeddingWidth(this.#architecture), vocab, means };
    // Flights of tokens are no passes over all of them, which `passes` counts.
    const ask = (tokens: number) =>
      this.#noted({ ...native.planHead(this.#engine.handle, { ...shape, tokens }), passes: 1 });
    // Flights are of equal length: those of fewer tokens may be longer.
    if (tokens > SCORE_ROWS) ask(SCORE_ROWS);
    return ask(tokens);
  }

  /**
   * Of a solver on `columns` columns and `rows` rows, whose larger pieces of linear algebra go there where they fit: notes
   * that, and gives the bytes of host memory that their copies take.
   */
  algebra(columns: number, rows: number): number {
    const doubles = native.gpuDoublesOf(this.#engine.handle);
    const side = Math.max(columns, rows);
    // A sweep to the end, or a product on either side of the map.
    if (doubles === null || 6 * side ** 3 < doubles.leastFlops) return 0;
    const { used, limit } = native.gpuMemoryOf(this.#engine.handle)!;
    // Two factors of a product, and the product; or a sweep's P and Q with its factors, of half of the columns at most.
    const most = 3 * side ** 2 + SWEEP_ROWS * side;
    this.peakBytes = Math.max(this.peakBytes, Math.min(limit, used + DOUBLE * most));
    return DOUBLE * Math.min(TILE_SIDE, side) * side;
  }

  #noted(plan: NativeGpuPlan): NativeGpuPlan {
    const { used } = native.gpuMemoryOf(this.#engine.handle)!;
    this.peakBytes = Math.max(this.peakBytes, used + plan.deviceBytes);
    this.passes = Math.max(this.passes, plan.passes);
    return plan;
  }
}
