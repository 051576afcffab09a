import test from 'ava';
import { count, parameters, shareBelowOne, shares, size } from '../../lib/cli/flags/values';
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
  for (const bad of ['', '0', '-1', '1.5G', '1 M params']) {
    t.throws(() => parameters(bad), { code: 'commander.invalidArgument' }, bad);
  }
  for (const bad of ['', '0', '1.5', '1k', '1e-5', '1e99']) t.throws(() => count(bad));
  t.throws(() => shareBelowOne('20%'), { message: /0\.2 for 20 %/ });
  t.throws(() => shares('0.1,20%'), { message: /0\.2 for 20 %/ });
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
