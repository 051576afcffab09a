/** Arrows point down: scripts/measure/house/rooms.json has the order, and what still breaks it. No function without a caller. */
import { join, resolve } from 'node:path';
import test from 'ava';

interface Violations {
  upward: string[];
  circles: string[];
}

const order = require(join(resolve(__dirname, '../..'), 'scripts/measure/house/order.js')) as {
  circlesOf(edges: [from: string, to: string][]): string[][];
  houses: Record<string, { known: Violations }>;
  violationsOf(house: string): Violations & { homeless: string[] };
};

const { cuda } = require(join(resolve(__dirname, '../..'), 'scripts/measure/house/cuda.js')) as {
  cuda(): { byNone: string[]; byBenches: string[] };
};

const without = (all: readonly string[], others: readonly string[]) =>
  all.filter((one) => !others.includes(one));

for (const house of ['lib', 'native']) {
  const { homeless, ...found } = order.violationsOf(house);
  const { known } = order.houses[house]!;

  test(`${house}: every file has a room`, (t) => {
    t.deepEqual(homeless, [], 'rooms.json names no room for these');
  });

  for (const kind of ['upward', 'circles'] as const) {
    test(`${house}: ${kind}, only what is known, and of that list nothing that is gone`, (t) => {
      t.deepEqual(without(found[kind], known[kind]), [], 'new: turn these arrows around');
      t.deepEqual(without(known[kind], found[kind]), [], 'gone: take these off rooms.json');
    });
  }
}

test('every function of the CUDA library has a caller in a product path', (t) => {
  const { byNone, byBenches } = cuda();
  t.deepEqual([...byNone, ...byBenches], [], 'take these off abi.h: tests bring their own helpers');
});

test('circles are found whole, and what only leads to them or out of them is no part', (t) => {
  const edges = ['ab', 'bc', 'ca', 'ad', 'de', 'ed', 'xa', 'ey', 'bd', 'cb'];
  const circles = order.circlesOf(edges.map((edge) => [edge[0]!, edge[1]!]));
  t.deepEqual(circles, [
    ['a', 'b', 'c'],
    ['d', 'e'],
  ]);
});
