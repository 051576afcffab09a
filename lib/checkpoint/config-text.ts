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

/** config.json of a folder. */
export function configText(config: Record<string, unknown>): string {
  const whole = new RegExp(`("(?:${FLOATS.join('|')})": -?\\d+)(?=,?$)`, 'gm');
  return `${JSON.stringify(config, null, 2)}\n`.replace(whole, '$1.0');
}
