import type { RefitHandle } from './handles';
import { native } from './native';
import type { RefitReport } from './native-solver';
import { Owned } from './owned';

/** Kept columns with their weight, held natively until a block takes it over. */
export class Refit extends Owned<RefitHandle> implements RefitReport {
  readonly error: number;
  readonly relativeError: number;
  readonly fisherLoss: number | null;
  readonly kept: Int32Array;
  readonly hasBias: boolean;
  readonly lambda: number;
  readonly ridgeRaised: number;

  constructor(handle: RefitHandle) {
    super(handle);
    const report = native.readRefit(handle);
    this.error = report.error;
    this.relativeError = report.relativeError;
    this.fisherLoss = report.fisherLoss;
    this.kept = report.kept;
    this.hasBias = report.hasBias;
    this.lambda = report.lambda;
    this.ridgeRaised = report.ridgeRaised;
  }

  /** `[out, kept]`, a copy for tests and reports. */
  weight(): Float32Array {
    return native.refitWeight(this.handle);
  }

  /** `[out]`, a copy; null where the map has none. */
  bias(): Float32Array | null {
    return native.refitBias(this.handle);
  }
}
