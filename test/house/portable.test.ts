/** Native code asks the system in one room, core/os, and the processor in another, ops: the rest compiles everywhere. */
import { join, resolve } from 'node:path';
import test from 'ava';

const folder = join(resolve(__dirname, '../..'), 'scripts/measure/house');
const { sourcesIn, withoutComments } = require(join(folder, 'sources.js')) as {
  sourcesIn(folder: string): string[];
  withoutComments(file: string): string;
};
const { houses } = require(join(folder, 'order.js')) as { houses: { native: { tests: string[] } } };

/** Of libraries that are the same on every system; the C++ library's own have neither a dot nor a slash. */
const LIBRARIES =
  /^(napi\.h|simdjson\.h|(mkl_)?cblas\.h|oneapi\/dnnl\/dnnl\.hpp|cuda_runtime\.h|cublas_v2\.h|cusolverDn\.h)$/;
const INTRINSICS = /^(immintrin|arm_neon|arm_sve)\.h$/;

const isIn = (file: string, rooms: readonly string[]) =>
  rooms.some((room) => file.startsWith(`native/${room}/`));
const product = sourcesIn('native').filter(
  (file) => /\.(h|cpp|cu)$/.test(file) && !isIn(file, houses.native.tests),
);

/** 'file: header' of what is no part of the C++ library or of `LIBRARIES`. */
const ofSystems = product.flatMap((file) =>
  [...withoutComments(file).matchAll(/^\s*#\s*include\s+<([^>]+)>/gm)]
    .map(([, name]) => name!)
    .filter((name) => /[./]/.test(name) && !LIBRARIES.test(name))
    .map((name) => ({ file, name })),
);
const told = (found: readonly { file: string; name: string }[]) =>
  found.map(({ file, name }) => `${file}: ${name}`);

test('headers of an operating system are included in core/os alone', (t) => {
  const isAllowed = ({ file, name }: { file: string; name: string }) =>
    isIn(file, ['core/os']) || INTRINSICS.test(name);
  t.deepEqual(told(ofSystems.filter((one) => !isAllowed(one))), []);
  t.true(ofSystems.some(({ name }) => name === 'unistd.h'));
});

test('intrinsics of a processor stand in ops alone', (t) => {
  const including = ofSystems.filter(({ name }) => INTRINSICS.test(name));
  t.deepEqual(told(including.filter(({ file }) => !isIn(file, ['ops']))), []);
  const using = product.filter((file) => /\b_mm\d*_\w+\(/.test(withoutComments(file)));
  t.deepEqual(
    using.filter((file) => !isIn(file, ['ops'])),
    [],
  );
  t.true(using.length > 0);
});

test('each system has an implementation of the same interfaces', (t) => {
  const namesIn = (system: string) =>
    product
      .filter((file) => isIn(file, [`core/os/${system}`]) && file.endsWith('.cpp'))
      .map((file) => file.split('/').at(-1));
  t.deepEqual(namesIn('windows'), namesIn('posix'));
});
