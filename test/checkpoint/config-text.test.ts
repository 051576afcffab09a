import test from 'ava';
import { configText, floatsIn } from '../../lib/checkpoint/config-text';

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
  const source = '{"vision_config": {"factor": 1.0, "size": 10, "eps": 1.05}}';
  t.deepEqual(floatsIn(source), ['factor']);
  const again = configText(JSON.parse(source), floatsIn(source));
  t.regex(again, /"factor": 1\.0,\n.*"size": 10,\n.*"eps": 1\.05\n/);
  t.regex(configText({ swiglu_limit: 7, swiglu_alpha: 2 }), /: 7\.0,\n.*: 2\.0\n/);
});
