import test from 'ava';
import { configText, floatsIn, parseConfig } from '../../lib/checkpoint/config-text';

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

const read = (text: string) =>
  parseConfig(Buffer.from(text), 'config.json', { code: 'ERR_CHECKPOINT', mend: 'fetch it' });

test("numbers that Python's json writes and JSON has not are read and written again", (t) => {
  const text = `{
  "time_step_limit": [
    0,
    Infinity
  ],
  "least": -Infinity,
  "none": NaN,
  "words": "Infinity, NaN, \\" NaN, -Infinity]",
  "NaN": "é"
}
`;
  const config = read(text);
  t.deepEqual(config, {
    time_step_limit: [0, Number.POSITIVE_INFINITY],
    least: Number.NEGATIVE_INFINITY,
    none: Number.NaN,
    words: 'Infinity, NaN, " NaN, -Infinity]',
    NaN: 'é',
  });
  t.is(configText(config), text);
});

test('other words are no numbers there either', (t) => {
  for (const text of [
    '{"a": infinity}',
    '{"a": +Infinity}',
    '{"a": --Infinity}',
    '{"a": NaN1}',
    '{NaN: 1}',
    '{"a": "NaN}',
    `{"a": ${'\\"'.repeat(100_000)}}`,
    '[NaN]',
  ]) {
    t.throws(() => read(text), { code: 'ERR_CHECKPOINT' }, text.slice(0, 20));
  }
  const notUtf8 = Buffer.from('{"a": NaN, "b": "\xff"}', 'latin1');
  const refusal = { code: 'ERR_CHECKPOINT', mend: '' } as const;
  t.throws(() => parseConfig(notUtf8, 'config.json', refusal), { message: /is not UTF-8/ });
});
