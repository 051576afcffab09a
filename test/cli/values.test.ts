import test from 'ava';
import { size } from '../../lib/cli/flags/values';
import { bytes, duration, short } from '../../lib/numbers';

test('sizes with units', (t) => {
  t.is(size('1000000'), 1_000_000);
  t.is(size('300MiB'), 300 * 1024 * 1024);
  t.is(size('1.5 gb'), 1_500_000_000);
  t.is(size('0.5KiB'), 512);
  for (const bad of ['', 'MiB', '-1', '5 parsecs', '1e3', '5 MiB left', '9999999TB']) {
    t.throws(() => size(bad), { code: 'commander.invalidArgument' }, bad);
  }
});

test('numbers for people', (t) => {
  t.is(bytes(999), '999 B');
  t.is(bytes(98_362_432), '98.4 MB');
  t.is(duration(59.6), '1:00');
  t.is(duration(3725), '1:02:05');
  t.is(short(0), '0');
  t.is(short(0.15643), '0.1564');
  t.is(short(123.456), '123.5');
  t.is(short(1.2e-7), '1.20e-7');
});
