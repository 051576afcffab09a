import type { AllocationFunction } from '../../lib/allocation/own';
import type { PruneOptions } from '../../lib/options';

/** Options by which these sublayers go as wholes, such as `0.ffn`, each as soon as it may, and nothing else does. */
export function without(...gone: string[]): Partial<PruneOptions> {
  const allocate: AllocationFunction = (layers) =>
    layers.map(({ block, scope, groups, gone: price }) =>
      price !== undefined && gone.includes(`${block}.${scope}`) ? groups : 0,
    );
  const allocation = { name: gone.join(), allocate };
  return { depth: true, scope: 'all', sparsity: 1e-6, allocation };
}
