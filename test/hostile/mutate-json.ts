/** A JSON value with one thing changed somewhere: another value, another type, a key less, a key twice as deep. */
import type { Random } from './random';

type Container = Record<string, unknown> | unknown[];

const LONG = 300;
const DEEP = 2000;

/** Values that files are not expected to hold. */
export const ODD: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => false,
  () => 0,
  () => 1,
  () => -1,
  () => 5,
  () => 1.5,
  () => 1e300,
  () => 1e9,
  () => 2 ** 25,
  () => 2 ** 32,
  () => 2 ** 53,
  () => '',
  () => 'linear',
  () => 'constructor',
  () => '__proto__',
  () => '../../etc/passwd',
  () => '\u202e|`<b>\n\u009b',
  () => 'x'.repeat(LONG),
  () => [],
  () => {},
  () => ({}),
  () => [null],
  () => nested(DEEP),
];

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

/** Changes the value in place; `undefined` where nothing could be changed. @param from names what is changed, for a report */
export function mutateJson(root: Container, random: Random): string {
  let holder = root;
  let path = '';
  for (;;) {
    const keys = Object.keys(holder);
    if (keys.length === 0) return `${path} is empty`;
    const key = random.pick(keys);
    const value = (holder as Record<string, unknown>)[key];
    path += `/${key}`;
    const isContainer = typeof value === 'object' && value !== null;
    if (isContainer && Object.keys(value).length > 0 && random.chance(0.8)) {
      holder = value as Container;
      continue;
    }
    return `${path}: ${changed(holder, key, value, random)}`;
  }
}

function changed(holder: Container, key: string, value: unknown, random: Random): string {
  const into = holder as Record<string, unknown>;
  const put = (given: unknown) =>
    Object.defineProperty(into, key, {
      value: given,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  switch (random.below(4)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete into[key];
      return 'gone';
    case 1:
      if (typeof value === 'number') {
        const other = value + random.pick([-1, 1, 256, 2 ** 31, -(2 ** 31), 0.5]);
        put(other);
        return String(other);
      }
      if (typeof value === 'string') {
        const at = random.below(value.length + 1);
        put(
          value.slice(0, at) +
            random.pick(['$&', '\0', '\ud800', ' ', '^', 'e', '']) +
            value.slice(at + 1),
        );
        return 'another text';
      }
      put([value]);
      return 'wrapped';
    case 2: {
      const other = random.pick(Object.values(holder));
      put(other);
      return "a neighbour's value";
    }
    default: {
      const odd = random.pick(ODD)();
      put(odd);
      return String(JSON.stringify(odd)).slice(0, 40);
    }
  }
}
