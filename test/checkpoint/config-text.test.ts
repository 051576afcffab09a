import test from 'ava';
import { configText } from '../../lib/checkpoint/config-text';

test('what transformers takes as a float alone has a point', (t) => {
  const config = {
    router_jitter_noise: 0,
    initializer_range: 1,
    hidden_size: 64,
    rope: { top: 0 },
  };
  const text = configText(config);
  t.deepEqual(JSON.parse(text), config);
  t.regex(
    text,
    /"router_jitter_noise": 0\.0,\n {2}"initializer_range": 1\.0,\n {2}"hidden_size": 64,/,
  );
  t.regex(configText({ router_aux_loss_coef: 0.001 }), /: 0\.001\n/);
  t.regex(configText({ final_logit_softcapping: 30 }), /: 30\.0\n/);
  t.regex(configText({ final_logit_softcapping: null }), /: null\n/);
  t.regex(configText({ swiglu_limit: 7, swiglu_alpha: 2 }), /: 7\.0,\n.*: 2\.0\n/);
});
