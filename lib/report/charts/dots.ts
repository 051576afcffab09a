import type { Html } from '../html';
import { type AxisSpec, categoryAxis, categoryRoom, valueAxis } from './axes';
import type { Option } from './echarts';
import type { SeriesStyle } from './style';
import { drawing } from './svg';

export interface DotSeries {
  name: string;
  style: SeriesStyle;
  /** One a category; null: none. */
  values: readonly (number | null)[];
}

export interface DotChart {
  id: string;
  title: string;
  description: string;
  categories: readonly string[];
  series: readonly DotSeries[];
  value: AxisSpec;
  /** Where a line crosses all categories. */
  origin: number;
}

/** Dots on level lines, one line a category, the first on top. */
export function dotChart(chart: DotChart): Html {
  const { id, title, description, categories } = chart;
  return drawing({
    id,
    title,
    description,
    heights: [84 + 26 * categories.length, 84 + 42 * categories.length],
    option: ({ narrow }) => optionOf(chart, narrow),
  });
}

function optionOf({ categories, series, value, origin }: DotChart, narrow: boolean): Option {
  return {
    grid: { left: categoryRoom(narrow), right: 24, top: 8, bottom: 52 },
    xAxis: { ...valueAxis(value, 'x', narrow), axisLine: { show: false } },
    yAxis: {
      ...categoryAxis(categories, narrow),
      splitLine: { show: true, lineStyle: { color: 'var(--faint)' } },
    },
    series: series.map(({ name, style, values }, i) => ({
      type: 'scatter' as const,
      name,
      symbol: style.symbol,
      symbolSize: narrow ? 9 : 10,
      itemStyle: { color: style.color, borderColor: style.color, borderWidth: 1.5, opacity: 1 },
      data: values.flatMap((one, at) => (one === null ? [] : [[one, at]])),
      z: 4,
      ...(i === 0 ? { markLine: levelAt(origin) } : {}),
    })),
  };
}

function levelAt(value: number) {
  return {
    silent: true,
    symbol: 'none',
    label: { show: false },
    lineStyle: { color: 'var(--line)', width: 1, type: 'solid' as const },
    data: [{ xAxis: value }],
  };
}
