/** Keys whose values transformers takes as floats alone: a whole number is written with its point. */
const FLOATS = [
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'initializer_range',
  'router_aux_loss_coef',
  'router_jitter_noise',
  'swiglu_alpha',
  'swiglu_limit',
];

/** config.json of a folder. @param floats of such keys, those that its source tells: `floatsIn` */
export function configText(
  config: Record<string, unknown>,
  floats: readonly string[] = [],
): string {
  const keys = [...FLOATS, ...floats].join('|');
  const whole = new RegExp(`("(?:${keys})": -?\\d+)(?=,?$)`, 'gm');
  return `${JSON.stringify(config, null, 2)}\n`.replace(whole, '$1.0');
}

/** Keys of a config.json that have a whole number with a point somewhere. */
export function floatsIn(text: string): string[] {
  const found = text.matchAll(/"(\w+)"\s*:\s*-?\d+\.0+(?=[\s,}])/g);
  return [...new Set([...found].map(([, key]) => key!))];
}
