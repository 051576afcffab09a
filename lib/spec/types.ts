import type { MaskRecipe } from '../masks';
import type { Method, Recipe } from '../methods';
import type { ModelSource } from '../model/architecture';
import type { RunSettings } from '../options';
import type { Target } from '../options/target';
import type { AllocationSpec } from './allocation';
import type { Timing } from './latency';
import type { OutputSpec } from './output';
import type { RefitSpec } from './refit';
import type { SurveySpec } from './survey';
import type { Layer } from './widths';

/** What the stages work by. */
export interface StageSpec {
  survey: SurveySpec;
  allocation: AllocationSpec;
  /** Whether whole sublayers may go. */
  depth: boolean;
  /** Rounds of lib/stages/search.ts. */
  search: number;
  /** Whether masks of halves of the data are set beside each other. */
  confidence: boolean;
  /** What a solve gathers, and on which inputs. */
  gather: Pick<Recipe, 'statistics' | 'inputs'>;
  mask: MaskRecipe;
  refit: RefitSpec;
}

/** A run in parts. */
export interface RunSpec extends StageSpec {
  source: ModelSource;
  /** Every option as it takes effect, as identities, cards and reports have them. */
  settings: RunSettings;
  method: Method;
  /** How much goes. */
  target: Target;
  /** What --target-speed prices widths by; null without. */
  timing: Timing | null;
  /** What may go: the widths of every site in scope. */
  layers: readonly Layer[];
  /** Tokens of a calibration window. */
  window: number;
  output: OutputSpec;
}
