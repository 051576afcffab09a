/** How much goes where. */
import type { AllocateOptions, AllocationRule } from '../allocation';
import type { AllocationFunction } from '../allocation/own';
import { StruPruneError } from '../errors';
import type { Method } from '../methods';
import type { Settings } from '../options';
import { cutsExperts, type Scope } from '../options/method';
import { Own } from '../own';

export interface AllocationSpec extends Omit<AllocateOptions, 'rule'> {
  rule: AllocationRule | Own<AllocationFunction>;
}

/** @throws StruPruneError ERR_ARGUMENT */
export function allocationSpec(method: Method, settings: Settings): AllocationSpec {
  const { allocation: rule, energyForm: form, temperature, apart, scope } = settings;
  requireForScope(scope, rule);
  if (scope === 'moe' && apart) {
    const what = 'whole experts and channels of the others share one budget';
    throw new StruPruneError('ERR_ARGUMENT', what, 'leave --apart out');
  }
  // A rule of the caller's reads the same curves as the threshold.
  const kind = rule instanceof Own ? 'threshold' : rule;
  if (!method.allocations.includes(kind)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `method ${method.name} has no ${rule} allocation`,
      `choose ${method.allocations.join(' or ')}`,
    );
  }
  if (rule instanceof Own && apart) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      '--apart is for the rules of this program: an own allocation sees all layers and their scope',
      'leave --apart out',
    );
  }
  return { rule, form, temperature, apart };
}

/** @throws StruPruneError ERR_ARGUMENT where experts, or channels inside them, do not go by the rule */
export function requireForScope(scope: Scope, rule: AllocationSpec['rule']): void {
  if (!cutsExperts(scope) || rule === 'uniform') return;
  const named = rule instanceof Own ? 'own' : rule;
  if (scope === 'expert-channels') {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `channels of experts alone go from every block alike: they have no ${named} allocation`,
      'choose --allocation uniform, or --scope moe or attention',
    );
  }
  if (rule === 'threshold') return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `whole experts have no ${named} allocation`,
    'choose --allocation uniform or threshold, or --scope attention',
  );
}
