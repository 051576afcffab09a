import type { Html } from '../html';
import { type AxisSpec, categoryAxis, categoryRoom, valueAxis } from './axes';
import type { Option } from './echarts';
import { TEXT } from './style';
import { drawing } from './svg';

export interface BarPart {
  name: string;
  color: string;
  /** One a category. */
  values: readonly number[];
}

export interface BarChart {
  id: string;
  title: string;
  description: string;
  categories: readonly string[];
  /** Laid end to end. */
  parts: readonly BarPart[];
  value: AxisSpec;
  /** What stands at the end of each bar. */
  labels: readonly string[];
}

/** Level bars, the first category on top; in the narrow form the names stand above their bars. */
export function barChart(chart: BarChart): Html {
  const { id, title, description, categories } = chart;
  return drawing({
    id,
    title,
    description,
    heights: [70 + 30 * categories.length, 70 + 46 * categories.length],
    option: ({ narrow }) => optionOf(chart, narrow),
  });
}

function optionOf({ categories, parts, value, labels }: BarChart, narrow: boolean): Option {
  return {
    grid: { left: categoryRoom(narrow), right: narrow ? 74 : 100, top: 8, bottom: 52 },
    xAxis: {
      ...valueAxis(value, 'x', narrow),
      splitLine: { show: true, lineStyle: { color: 'var(--faint)' } },
      axisLine: { show: false },
      axisTick: { show: false, customValues: value.scale.ticks },
    },
    yAxis: categoryAxis(categories, narrow),
    series: parts.map(({ name, color, values }, i) => ({
      type: 'bar',
      name,
      stack: 'all',
      barWidth: narrow ? 12 : 16,
      data: [...values],
      itemStyle: { color, borderColor: 'var(--surface)', borderWidth: parts.length > 1 ? 1 : 0 },
      label: {
        ...TEXT.label,
        show: i === parts.length - 1,
        position: 'right',
        textBorderWidth: 0,
        formatter: ({ dataIndex }: { dataIndex: number }) => labels[dataIndex] ?? '',
      },
    })),
  };
}
