import { TEXT } from './style';
import type { Scale } from './ticks';

export interface AxisSpec {
  name: string;
  scale: Scale;
  log?: boolean;
  format: (value: number) => string;
}

/** A numeric axis with its own marks; ECharts chooses nothing. */
export function valueAxis(spec: AxisSpec, place: 'x' | 'y', narrow: boolean) {
  const ticks = place === 'x' && narrow ? everySecond(spec.scale.ticks) : spec.scale.ticks;
  return {
    type: spec.log ? ('log' as const) : ('value' as const),
    min: spec.scale.min,
    max: spec.scale.max,
    ...(place === 'x'
      ? { name: spec.name, nameLocation: 'middle' as const, nameGap: 32, nameTextStyle: TEXT.name }
      : {}),
    axisLine: { show: place === 'x', lineStyle: { color: 'var(--line)' } },
    axisTick: { show: place === 'x', customValues: ticks, lineStyle: { color: 'var(--line)' } },
    minorTick: { show: false },
    axisLabel: { ...TEXT.axis, customValues: ticks, formatter: spec.format },
    splitLine: { show: place === 'y', lineStyle: { color: 'var(--faint)' } },
  };
}

function everySecond(ticks: readonly number[]): readonly number[] {
  if (ticks.length < 6) return ticks;
  return ticks.filter((_, i) => i % 2 === 0);
}

/** A y axis's name lies above it, level, where it is read first. */
export function yName(name: string) {
  return { name, nameLocation: 'end' as const, nameGap: 14, nameTextStyle: NAME_TEXT };
}

/** Names beside what is drawn of them, the first on top; in the narrow form they stand above it. */
export function categoryAxis(categories: readonly string[], narrow: boolean) {
  return {
    type: 'category' as const,
    inverse: true,
    data: [...categories],
    z: 5,
    axisLine: { show: true, lineStyle: { color: 'var(--line)' } },
    axisTick: { show: false },
    axisLabel: { ...TEXT.label, interval: 0, ...(narrow ? ABOVE : BESIDE) },
  };
}

/** Pixels at the left of a chart over categories. */
export function categoryRoom(narrow: boolean): number {
  return narrow ? 8 : 210;
}

const BESIDE = { width: 190, overflow: 'truncate' as const };
const ABOVE = {
  inside: true,
  margin: 0,
  fontSize: 12,
  verticalAlign: 'bottom' as const,
  padding: [0, 0, 8, 0],
};

/** Room for the numbers of a y axis, pixels. */
export const AXIS_ROOM = 60;

const NAME_TEXT = { ...TEXT.name, align: 'left' as const, padding: [0, 0, 0, -AXIS_ROOM] };
