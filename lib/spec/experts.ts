/** Experts: what cannot be done to models of them, and what becomes of a method where whole ones go, or channels of each. */
import { StruPruneError } from '../errors';
import type { Method, Recipe } from '../methods';
import { NO_REFIT } from '../methods/by-scores';
import type { Architecture } from '../model/architecture';
import type { RunSettings, Settings } from '../options';
import { cutsExperts, cutsInsideExperts } from '../options/method';
import type { OutputSpec } from './output';
import type { Layer } from './widths';

/**
 * The settings with the scope that wins for a mixture of experts (docs/decisions/0048), where none is given and the method knows one;
 * others stay. Whole experts that go spare no multiply-adds.
 */
export function withScope({ routing }: Architecture, method: Method, settings: Settings): Settings {
  const { given } = settings;
  if (routing === null || !method.insideExperts || given.includes('scope')) return settings;
  const whole = method.wholeExperts && settings.targetMacs === undefined;
  const allocation = given.includes('allocation') ? settings.allocation : 'uniform';
  return { ...settings, scope: whole ? 'moe' : 'expert-channels', allocation };
}

/** What was chosen there, and what else there is. */
export function scopeNotes({ given, scope, allocation }: Settings): string[] {
  if (given.includes('scope') || !cutsInsideExperts(scope)) return [];
  const goes = scope === 'moe' ? 'whole experts go, and channels of the others' : 'channels go';
  const many = allocation === 'uniform' ? 'as many everywhere' : 'of each block its own number';
  return [
    `a mixture of experts: ${goes}, ${many}, and all else stays (--scope ${scope}); --scope attention removes heads`,
  ];
}

/** What the method does in the scope. @throws StruPruneError ERR_ARGUMENT where it knows no way */
export function recipeFor(method: Method, settings: RunSettings): Recipe {
  const { scope } = settings;
  const recipe = method.recipe(settings);
  const refuse = (what: string, mend: string) =>
    new StruPruneError('ERR_ARGUMENT', `method ${method.name} ${what}`, mend);
  if (method.scope !== undefined && scope !== method.scope) {
    throw refuse('chooses whole experts alone', `leave --scope ${scope} out`);
  }
  if (scope === 'moe' && recipe.mask.experts === undefined) {
    throw refuse('chooses no whole experts', 'choose --method struprune');
  }
  if (cutsInsideExperts(scope)) {
    if (!method.insideExperts) {
      const mend = 'choose --method struprune, magnitude-l2 or wanda-sp';
      throw refuse('chooses no channels inside experts', mend);
    }
    // Weights of tokens are on what the output map reads, and not on its bias.
    return { ...recipe, refit: { ...NO_REFIT, output: recipe.refit.output } };
  }
  if (scope !== 'experts') return recipe;
  if (recipe.mask.experts === undefined) {
    throw refuse('chooses no whole experts', 'choose --method struprune or reap');
  }
  return { ...recipe, statistics: 'diagonal', refit: { ...NO_REFIT, output: recipe.refit.output } };
}

/** @throws StruPruneError ERR_UNSUPPORTED where nothing in scope may shrink, and for a target that experts do not change */
export function requireForExperts(
  { routing }: Architecture,
  layers: readonly Layer[],
  { method, scope, targetMacs }: RunSettings,
  adds: OutputSpec['adds'],
): void {
  const refuse = (what: string, mend: string) => {
    throw new StruPruneError('ERR_UNSUPPORTED', what, mend);
  };
  if (routing === null) {
    if (cutsExperts(scope)) refuse('this model has no experts', 'choose another --scope');
    return;
  }
  if (layers.length === 0) {
    const what = `the FFNs of this model are experts: --scope ${scope} would remove channels of them`;
    refuse(what, 'choose --scope experts, expert-channels, moe or attention');
  }
  if (adds.ffn) {
    const what = `the FFNs of this model are experts, to which method ${method} can add no biases`;
    refuse(what, 'choose --scope attention');
  }
  if ((scope === 'experts' || scope === 'moe') && targetMacs !== undefined) {
    const what = 'a token passes as many experts as before, and with them as many multiply-adds';
    const others = 'give --sparsity, --target-params or --target-size';
    refuse(what, `${others}, or choose --scope expert-channels`);
  }
}
