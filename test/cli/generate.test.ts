import test from 'ava';
import { run, TINY } from './run';

test('the text alone on stdout, or JSON', async (t) => {
  const args = ['generate', TINY, '--prompt', 'The king said', '--max-tokens', '6'];
  const { code, stdout, stderr } = await run(args);
  t.is(code, 0, stderr);
  const json = JSON.parse((await run([...args, '--json'])).stdout);
  t.is(stdout, `${json.text}\n`);
  t.is(json.tokens.length, 6);
});
