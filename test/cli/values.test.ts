import test from 'ava';
import {
  choiceOf,
  count,
  deviceName,
  multiplyAddsOrPercent,
  parameters,
  parametersOrPercent,
  removal,
  share,
  shares,
  size,
  sizeOrPercent,
} from '../../lib/cli/flags/values';
import { bytes, counted, duration, short } from '../../lib/numbers';

test('sizes with units', (t) => {
  t.is(size('1000000'), 1_000_000);
  t.is(size('300MiB'), 300 * 1024 * 1024);
  t.is(size('1.5 gb'), 1_500_000_000);
  t.is(size('0.5KiB'), 512);
  t.is(size('2g'), 2 ** 31);
  t.is(size('512m'), 512 * 1024 * 1024);
  t.is(size('1e9'), 1_000_000_000);
  t.is(size('1.5e3 KB'), 1_500_000);
  t.is(size('0'), 0);
  // 0.5 of what? Rounded down it would be no limit at all.
  for (const bad of [
    '',
    'MiB',
    '-1',
    '0.5',
    '0.9 B',
    '5 parsecs',
    '1e',
    '5 MiB left',
    '9999999TB',
  ]) {
    t.throws(() => size(bad), { code: 'commander.invalidArgument' }, bad);
  }
});

test('parameters and counts as people write them', (t) => {
  t.is(parameters('1.5M'), 1_500_000);
  t.is(parameters('1.15m'), 1_150_000);
  t.is(parameters('7B'), 7_000_000_000);
  t.is(parameters('500k'), 500_000);
  t.is(parameters('1e9'), 1_000_000_000);
  t.is(count('1e5'), 100_000);
  for (const bad of ['', '0', '0.75', '-1', '1.5G', '1 M params']) {
    t.throws(() => parameters(bad), { code: 'commander.invalidArgument' }, bad);
  }
  for (const bad of ['', '0', '1.5', '1k', '1e-5', '1e99']) t.throws(() => count(bad));
});

test('shares and targets in percent', (t) => {
  t.is(removal('20%'), 0.2);
  t.is(removal('12.5 %'), 0.125);
  t.is(share('100%'), 1);
  t.deepEqual(shares('0.1,20%'), [0.1, 0.2]);
  t.is(parametersOrPercent('75%'), '75%');
  t.is(parametersOrPercent('1.5M'), 1_500_000);
  t.is(multiplyAddsOrPercent('75%'), '75%');
  t.is(multiplyAddsOrPercent('1.5G'), 1_500_000_000);
  t.throws(() => multiplyAddsOrPercent('1.5GiB'), { message: /K, M, G or T/ });
  t.throws(() => parametersOrPercent('0.75'), { message: /a share of what there is: 75%/ });
  for (const bad of ['0%', '100%', '175%', 'x%']) {
    t.throws(() => parametersOrPercent(bad), { message: /above 0% and below 100%/ }, bad);
  }
  t.is(sizeOrPercent(' 57.5 % '), '57.5%');
  t.is(sizeOrPercent('300MiB'), 300 * 2 ** 20);
  for (const bad of ['0', '20', '1', '0%', '100%', '-5%', '%']) {
    t.throws(() => removal(bad), { message: /0\.2 or 20%/ }, bad);
  }
  for (const bad of ['0%', '100%', '75%%']) t.throws(() => sizeOrPercent(bad), undefined, bad);
});

test('names as other tools spell them', (t) => {
  const dtype = choiceOf(['f16', 'q8_0'], { float16: 'f16' });
  t.is(dtype('Q8_0'), 'q8_0');
  t.is(dtype('float16'), 'f16');
  t.throws(() => dtype('q8-0'), { message: /Did you mean q8_0\? Allowed choices are f16, q8_0\./ });
  t.throws(() => dtype('toString'), { message: /^Allowed choices/ });
  t.is(deviceName('cuda'), 'cuda:0');
  t.is(deviceName('CPU'), 'cpu');
});

test('numbers for people', (t) => {
  t.is(bytes(999), '999 B');
  t.is(counted(1, 'thread'), '1 thread');
  t.is(counted(1200, 'token'), '1,200 tokens');
  t.is(bytes(98_362_432), '98.4 MB');
  t.is(duration(59.6), '1:00');
  t.is(duration(3725), '1:02:05');
  t.is(short(0), '0');
  t.is(short(0.15643), '0.1564');
  t.is(short(123.456), '123.5');
  t.is(short(1.2e-7), '1.20e-7');
});
