/** Solvers of an FFN's input weights (native/solver/gauss_newton.h and auxiliary.h); the classes of these names say what they do. */
import type { Site } from '../model/sublayers';
import type {
  AuxiliaryHandle,
  BlockHandle,
  GaussNewtonHandle,
  MatrixHandle,
  RefitHandle,
} from './handles';
import type { Purpose } from './native-engine';

/** A line through the linearised problem: its minimum lies at the step slope ÷ curvature. */
export interface Direction {
  slope: number;
  curvature: number;
}

export interface NativeFfn {
  createGaussNewton(
    block: BlockHandle,
    site: Site,
    inputs: MatrixHandle,
    targets: MatrixHandle,
    lambda: number,
    freezeBiases: boolean,
  ): Promise<GaussNewtonHandle>;
  linearise(
    solver: GaussNewtonHandle,
    block: BlockHandle,
    site: Site,
    refit: RefitHandle,
    tokens: number,
    offset: number,
    purpose: Purpose,
  ): Promise<number>;
  nextDirection(solver: GaussNewtonHandle, last: boolean, purpose: Purpose): Promise<Direction>;
  advanceAlong(solver: GaussNewtonHandle, step: number): Promise<void>;
  moveAlong(
    solver: GaussNewtonHandle,
    block: BlockHandle,
    site: Site,
    forth: boolean,
  ): Promise<void>;
  createAuxiliary(
    block: BlockHandle,
    site: Site,
    inputs: MatrixHandle,
    targets: MatrixHandle,
    lambda: number,
    freezeBiases: boolean,
  ): Promise<AuxiliaryHandle>;
  iterateAuxiliary(
    solver: AuxiliaryHandle,
    block: BlockHandle,
    site: Site,
    refit: RefitHandle,
    tokens: number,
    offset: number,
    purpose: Purpose,
  ): Promise<void>;
  moveAuxiliary(
    solver: AuxiliaryHandle,
    block: BlockHandle,
    site: Site,
    forth: boolean,
  ): Promise<void>;
}
