/** What sites need of an engine's GPU, asked before any of them runs. */
import type { Architecture } from '../model/architecture';
import type { Engine } from './engine';
import { native, type Site } from './native';
import type { NativeSitePlan, SiteDemand } from './native-gpu';
import { blockSpec } from './session';

export class GpuSites {
  /** Most of the GPU's memory among the sites asked about, and most passes over the tokens. */
  peakBytes = 0;
  passes = 1;
  readonly #engine: Engine;
  readonly #architecture: Architecture;

  private constructor(engine: Engine, architecture: Architecture) {
    this.#engine = engine;
    this.#architecture = architecture;
  }

  /** null where the engine has no GPU. */
  static of(engine: Engine, architecture: Architecture): GpuSites | null {
    return engine.device === 'cpu' ? null : new GpuSites(engine, architecture);
  }

  /** @throws StruPruneError ERR_BUDGET when the GPU's memory cannot hold one window of the site */
  plan(block: number, site: Site, demand: SiteDemand): NativeSitePlan {
    const spec = blockSpec(this.#architecture, block);
    const plan = native.planSite(this.#engine.handle, spec, site, demand);
    const { used } = native.gpuMemoryOf(this.#engine.handle)!;
    this.peakBytes = Math.max(this.peakBytes, used + plan.deviceBytes);
    this.passes = Math.max(this.passes, plan.passes);
    return plan;
  }
}
