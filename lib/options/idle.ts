/** Options that were given although nothing reads them. */
import { methodOf, readsOption } from '../methods';
import { flagOf, worded } from '../wording';
import { OPTIONS, type Settings } from '.';
import { MASK } from './mask';
import type { Option } from './option';

/** What is read of a method's options where whole experts go, and where channels of them do. */
const OF_EXPERTS = ['refit', 'lambda', 'sequential'];
const OF_MASKS = Object.keys(MASK).filter((key) => key !== 'selection');
/** Whether there is a survey, and trials, is what they say themselves. */
const OF_SURVEY = ['surveyTokens', 'layerWeights'];
const READ: Readonly<Record<string, readonly string[]>> = {
  experts: [...OF_EXPERTS, ...OF_SURVEY],
  'expert-channels': [...OF_EXPERTS, ...OF_MASKS],
  moe: [...OF_EXPERTS, ...OF_MASKS, ...OF_SURVEY],
};

/** A warning for each reason; none where all that is given is read. */
export function idleOptions(settings: Settings, { isGraph } = { isGraph: false }): string[] {
  const flags = new Map<string, string[]>();
  for (const [key, option] of Object.entries<Option>(OPTIONS)) {
    const value: unknown = settings[key as keyof Settings];
    // What is on unless switched off says nothing by being on.
    const says = settings.given.includes(key) && !(value === true && option.default === true);
    const reason = says ? whyIdle(key, option, { ...settings, isGraph }) : null;
    if (reason === null) continue;
    const flag = value === false ? `--no-${flagOf(key).slice(2)}` : flagOf(key);
    flags.set(reason, [...(flags.get(reason) ?? []), flag]);
  }
  return [...flags].map(([reason, names]) => idleWarning(names, reason));
}

export function idleWarning(flags: readonly string[], reason: string): string {
  return worded(
    `${flags.join(' and ')} ${flags.length === 1 ? 'has' : 'have'} no effect ${reason}`,
  );
}

/** Why a run with these settings does not read an option; null where it does. */
function whyIdle(
  key: string,
  { byMethod, read = [] }: Option,
  settings: Settings & { isGraph: boolean },
): string | null {
  const method = methodOf(settings.method);
  if (byMethod && !readsOption(method, key)) return `with --method ${method.name}`;
  if (byMethod && READ[settings.scope]?.includes(key) === false)
    return `with --scope ${settings.scope}`;
  for (const reader of read) {
    const reason = reader(settings as never);
    if (reason !== null) return reason;
  }
  return null;
}
