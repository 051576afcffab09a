import { StruPruneError } from '../../errors';
import type { ModelSource } from '../../model/architecture';
import { heldPositions } from '../../model/yarn';
import type { SpeedSettings } from './options';

const PROMPT_TOKENS = 512;

/** Tokens of the prompt. @throws StruPruneError ERR_ARGUMENT where the model has too few positions */
export function promptFor(
  { architecture }: ModelSource,
  { promptTokens, generatedTokens }: Pick<SpeedSettings, 'promptTokens' | 'generatedTokens'>,
): number {
  const positions = heldPositions(architecture);
  const left = positions - generatedTokens;
  const asked = promptTokens ?? Math.min(PROMPT_TOKENS, left);
  if (asked > 0 && asked <= left) return asked;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `the model has ${positions} positions, too few for a prompt and ${generatedTokens} tokens more`,
    'give a smaller --prompt-tokens or --generated-tokens',
  );
}
