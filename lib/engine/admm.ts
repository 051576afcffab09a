import type { AdmmHandle } from './handles';
import { native } from './native';
import type { AdmmResiduals, RidgeReport } from './native-solver';
import { Owned } from './owned';

/** The state and steps of one ADMM run, in coordinates scaled by diag(H_λ)^½. */
export class Admm extends Owned<AdmmHandle> implements RidgeReport {
  readonly lambda: number;
  readonly ridgeRaised: number;

  constructor(handle: AdmmHandle) {
    super(handle);
    const { lambda, ridgeRaised } = native.readAdmm(handle);
    this.lambda = lambda;
    this.ridgeRaised = ridgeRaised;
  }

  /** One Cholesky; rescales U. */
  setRho(rho: number): Promise<void> {
    return native.admmSetRho(this.handle, rho);
  }

  /** Ŵ ← (W*H + ρ(Z − U))(H + ρI)⁻¹. */
  solve(): Promise<void> {
    return native.admmSolve(this.handle);
  }

  /** ‖(Ŵ + U)_g‖²; before the first solve Ŵ is W*. */
  groupEnergies(): Promise<Float64Array> {
    return native.admmGroupEnergies(this.handle);
  }

  /** Z ← Ŵ + U on the kept groups. */
  project(keep: Uint8Array): Promise<void> {
    return native.admmProject(this.handle, keep);
  }

  /** U ← U + Ŵ − Z. */
  updateDual(): Promise<AdmmResiduals> {
    return native.admmUpdateDual(this.handle);
  }
}
