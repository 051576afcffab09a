import { flatten, type TokenizerConfig, type TokenizerJson, tokenText } from './types';

/** Whether the post-processor puts BOS in front of a text. */
export function addsBos({ post_processor }: TokenizerJson, config: TokenizerConfig): boolean {
  const bos = tokenText(config.bos_token);
  return flatten(post_processor).some((step) => {
    if (step.type !== 'TemplateProcessing' || !Array.isArray(step.single)) return false;
    const first = step.single[0] as { SpecialToken?: { id: string } } | undefined;
    return bos !== null && first?.SpecialToken?.id === bos;
  });
}
