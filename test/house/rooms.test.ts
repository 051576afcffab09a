/** Arrows point down, in the order of scripts/measure/house/rooms.json, and none go round. No function without a caller. */
import { join, resolve } from 'node:path';
import test from 'ava';

const order = require(join(resolve(__dirname, '../..'), 'scripts/measure/house/order.js')) as {
  circlesOf(edges: [from: string, to: string][]): string[][];
  violationsOf(house: string): Record<'homeless' | 'upward' | 'circles', string[]>;
};

const { cuda } = require(join(resolve(__dirname, '../..'), 'scripts/measure/house/cuda.js')) as {
  cuda(): { byNone: string[]; byBenches: string[] };
};

for (const house of ['lib', 'native']) {
  test(`${house}: every file has a room, and arrows point down`, (t) => {
    const { homeless, upward, circles } = order.violationsOf(house);
    t.deepEqual(homeless, [], 'rooms.json names no room for these');
    t.deepEqual([...upward, ...circles], [], 'turn these arrows around');
  });
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
