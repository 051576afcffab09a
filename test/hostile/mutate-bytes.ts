import type { Random } from './random';

/** A copy of the bytes with a few of them changed, most often among the first `front`; or cut, or longer. */
export function mutateBytes(bytes: Buffer, front: number, random: Random): Buffer {
  const place = () => random.below(Math.min(bytes.length, random.chance(0.9) ? front : Infinity));
  const copy = Buffer.from(bytes);
  switch (random.below(7)) {
    case 0:
      return copy.subarray(0, random.chance(0.5) ? place() : bytes.length - 1 - random.below(64));
    case 1:
      return Buffer.concat([copy, Buffer.alloc(1 + random.below(64))]);
    case 2: {
      const at = place();
      const end = Math.min(copy.length, at + 1 + random.below(64));
      return Buffer.concat([copy.subarray(0, end), copy.subarray(at)]);
    }
    case 3: {
      const at = place();
      const end = Math.min(copy.length, at + 1 + random.below(16));
      return copy.fill(random.pick([0, 0xff, 0x20]), at, end);
    }
    case 4: {
      const at = Math.max(0, Math.min(place(), copy.length - 8));
      const numbers = [0n, 1n, 2n ** 16n, 2n ** 31n, 2n ** 40n, 2n ** 62n, 2n ** 64n - 1n];
      copy.writeBigUInt64LE(random.pick(numbers), at);
      return copy;
    }
    default:
      for (let flips = 1 + random.below(3); flips > 0; flips--) {
        const at = place();
        copy[at] = copy[at]! ^ (1 << random.below(8));
      }
      return copy;
  }
}
