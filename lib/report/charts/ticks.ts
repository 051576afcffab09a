/** Where an axis has its marks. Pure numbers; ECharts is told, not asked, so that both forms of a chart agree. */

export interface Scale {
  min: number;
  max: number;
  ticks: number[];
}

/** Steps of 1, 2 or 5 times a power of ten, from at or below `low` to at or above `high`, about `count` of them. */
export function linearScale(low: number, high: number, count = 5): Scale {
  const span = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = power * [1, 2, 5, 10].find((factor) => span / (power * factor) <= count)!;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => tidy((first + i) * step));
  return { min: ticks[0]!, max: ticks.at(-1)!, ticks };
}

/**
 * Marks at 1, 2 and 5 of every decade, or at whole decades where they are many. The ends are
 * the data's own with a little room.
 */
export function logScale(low: number, high: number, count = 6): Scale {
  const room = Math.max((high / low) ** 0.04, 1.02);
  const [min, max] = [low / room, high * room];
  const within = (values: number[]) => values.filter((value) => value >= min && value <= max);
  const from = Math.floor(Math.log10(min));
  const decades = Array.from({ length: Math.ceil(Math.log10(max)) - from + 1 }, (_, i) => from + i);
  const marks = (factors: readonly number[]) =>
    within(decades.flatMap((decade) => factors.map((factor) => tidy(factor * 10 ** decade))));
  const finest = FACTORS.map(marks).find((ticks) => ticks.length <= count + 1);
  const sparse = thinned(marks([1]), count);
  const ticks = finest && finest.length >= 2 ? finest : sparse;
  // Less than a factor of two: marks as on an even scale.
  if (ticks.length < 3) {
    return { min, max, ticks: within(linearScale(min, max, count).ticks) };
  }
  return { min, max, ticks };
}

const FACTORS = [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]] as const;

function thinned(ticks: readonly number[], count: number): number[] {
  const every = Math.ceil(ticks.length / count);
  return ticks.filter((_, i) => i % every === 0);
}

/** Without the dust of binary fractions. */
function tidy(value: number): number {
  return Number(value.toPrecision(10));
}
