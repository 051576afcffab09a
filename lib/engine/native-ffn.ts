/** The part of the native addon that refits an FFN's input weights (native/solver/gauss_newton.h and auxiliary.h). */
import type { Site } from '../model/sublayers';
import type { NativeRefit } from '../solver/native-solver';
import type {
  AuxiliaryHandle,
  BlockHandle,
  EngineHandle,
  GaussNewtonHandle,
  MatrixHandle,
  StatisticsHandle,
} from './native';

export interface NativeFfn {
  /**
   * On the inputs and targets that runSite wrote. The block's gate and up (and their biases, the weights of a last column of
   * ones) are what the ridge pulls towards; `freezeBiases` leaves them where they are.
   */
  createGaussNewton(
    engine: EngineHandle,
    block: BlockHandle,
    site: Site,
    inputs: MatrixHandle,
    targets: MatrixHandle,
    lambda: number,
    freezeBiases: boolean,
  ): Promise<GaussNewtonHandle>;
  /**
   * Linearises at the block's input weights and the refit's output map, over about `tokens` tokens in pages at even
   * distances, of which the first is page `offset`. Gives the relative error over them.
   */
  linearise(
    engine: EngineHandle,
    solver: GaussNewtonHandle,
    block: BlockHandle,
    site: Site,
    refit: NativeRefit,
    tokens: number,
    offset: number,
  ): Promise<number>;
  /** The next conjugate direction; `last`: none follows, which saves half of the pass. */
  nextDirection(engine: EngineHandle, solver: GaussNewtonHandle, last: boolean): Promise<Direction>;
  advanceAlong(engine: EngineHandle, solver: GaussNewtonHandle, step: number): Promise<void>;
  /** Gives the block the input weights that the linearisation led to, rounded, or those that it began at. */
  moveAlong(
    engine: EngineHandle,
    solver: GaussNewtonHandle,
    block: BlockHandle,
    site: Site,
    forth: boolean,
  ): Promise<void>;
  /** As createGaussNewton, for iterations of auxiliary variables. */
  createAuxiliary(
    engine: EngineHandle,
    block: BlockHandle,
    site: Site,
    inputs: MatrixHandle,
    targets: MatrixHandle,
    lambda: number,
    freezeBiases: boolean,
  ): Promise<AuxiliaryHandle>;
  /** One iteration from the block's input weights and the refit's output map, over tokens as linearise takes them. */
  iterateAuxiliary(
    engine: EngineHandle,
    solver: AuxiliaryHandle,
    block: BlockHandle,
    site: Site,
    refit: NativeRefit,
    tokens: number,
    offset: number,
  ): Promise<void>;
  moveAuxiliary(
    engine: EngineHandle,
    solver: AuxiliaryHandle,
    block: BlockHandle,
    site: Site,
    forth: boolean,
  ): Promise<void>;
  /** Adds the block's hidden activations on those inputs, with what its output map misses of the targets. */
  collectHidden(
    engine: EngineHandle,
    block: BlockHandle,
    site: Site,
    inputs: MatrixHandle,
    targets: MatrixHandle,
    statistics: StatisticsHandle,
  ): Promise<void>;
}

/** A line through the linearised problem: its minimum lies at the step slope ÷ curvature. */
export interface Direction {
  slope: number;
  curvature: number;
}
