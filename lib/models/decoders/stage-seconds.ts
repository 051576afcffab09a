/** How long stages take by their plan. */

import type { Engine } from '../../engine/engine';
import { type GemmRates, measureRates } from '../../engine/gemm-rate';
import { DOUBLE_SHARE, SINGLE_SHARE, type StagePlan } from './plan';

/** Shape of the measured product, as in devices. */
const WIDTH = 1024;
const SECONDS = 0.2;

/** Of a machine, by its rates of products, measured now. */
export async function stageSeconds(
  engine: Engine,
): Promise<{ rates: GemmRates; secondsOf: (stage: StagePlan) => number }> {
  const rates = await measureRates(engine, WIDTH, SECONDS);
  const { gemmRate, calibrationRate, searchRate, sgemmRate } = rates;
  const secondsOf = ({ stage, flops: { single, searching, double } }: StagePlan) => {
    const rate = stage === 'evaluate' ? gemmRate : calibrationRate;
    const products = (single / rate + searching / searchRate) / SINGLE_SHARE;
    // Products in double precision are the BLAS's, whatever path floats take.
    return (products + double / (DOUBLE_SHARE * sgemmRate)) / 1e9;
  };
  return { rates, secondsOf };
}
