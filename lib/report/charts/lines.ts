import type { Html } from '../html';
import { AXIS_ROOM, type AxisSpec, valueAxis, yName } from './axes';
import type { Option } from './echarts';
import { DASHES, type SeriesStyle, TEXT } from './style';
import { drawing, type Size } from './svg';

export interface LineSeries {
  name: string;
  /** x and y, ascending in x; a line that leaves the chart at the top ends there. */
  points: readonly (readonly [number, number])[];
  style: SeriesStyle;
  /** A label at its last point inside the axes. Default true. */
  labelled?: boolean;
  /** Steps between the points, for what has no between. */
  step?: boolean;
}

/** A level line with a word, which may be empty. */
export interface Level {
  value: number;
  label: string;
}

export interface LineChart {
  id: string;
  title: string;
  description: string;
  x: AxisSpec;
  y: AxisSpec;
  series: readonly LineSeries[];
  levels?: readonly Level[];
  height?: number;
}

/** Lines over a numeric x. The narrow form has no direct labels: its legend stands below in HTML. */
export function lineChart(chart: LineChart): Html {
  const { id, title, description, height = 380 } = chart;
  return drawing({
    id,
    title,
    description,
    heights: [height, 280],
    option: (size) => optionOf(chart, size),
  });
}

function optionOf({ x, y, series, levels = [] }: LineChart, size: Size): Option {
  const { narrow } = size;
  return {
    grid: { left: AXIS_ROOM, right: narrow ? 14 : labelRoom(series), top: 36, bottom: 52 },
    xAxis: valueAxis(x, 'x', narrow),
    yAxis: { ...valueAxis(y, 'y', narrow), ...yName(y.name) },
    series: [
      ...levels.map((level) => levelLine(level, x)),
      ...series.map((one) => line(one, x, y, narrow)),
    ],
  };
}

/** ECharts has a word for all but one. */
function lineType(dash: SeriesStyle['dash']) {
  return dash === 'dashdot' ? [...DASHES.dashdot] : dash;
}

function line(series: LineSeries, x: AxisSpec, y: AxisSpec, narrow: boolean) {
  const { name, style, labelled = true, step } = series;
  const points = withinAxes(series.points, x, y);
  return {
    type: 'line' as const,
    name,
    data: points,
    step: step ? ('middle' as const) : false,
    symbol: style.symbol,
    symbolSize: narrow ? 7 : 8,
    showAllSymbol: true,
    lineStyle: { color: style.color, width: style.width, type: lineType(style.dash) },
    itemStyle: { color: style.color, borderColor: style.color, borderWidth: 1.5 },
    endLabel: {
      show: labelled && !narrow && points.length > 0,
      // Not the marker, beside which it stands unless it had to move.
      formatter: `{line|—}\u00a0${plain(shortened(name))}`,
      ...TEXT.label,
      textBorderWidth: 0,
      distance: 8,
      rich: { line: { color: style.color, fontSize: 13 } },
    },
    labelLayout: { moveOverlap: 'shiftY' as const },
    z: style.width > 2 ? 4 : 3,
  };
}

interface Point {
  value: [number, number];
  symbol?: 'none';
}

/** The points up to the first that lies above the y axis, and the place where the line leaves it. */
function withinAxes(points: LineSeries['points'], x: AxisSpec, y: AxisSpec): Point[] {
  const shown: Point[] = [];
  for (const [i, [px, py]] of points.entries()) {
    if (py <= y.scale.max) {
      shown.push({ value: [px, py] });
      continue;
    }
    const before = points[i - 1];
    if (before) shown.push({ value: leaving(before, [px, py], y), symbol: 'none' });
    break;
  }
  return shown.filter(({ value: [px, py] }) => px <= x.scale.max && py >= y.scale.min);
}

function leaving(
  [x0, y0]: readonly [number, number],
  [x1, y1]: readonly [number, number],
  { log, scale: { max } }: AxisSpec,
): [number, number] {
  const level = (value: number) => (log ? Math.log(value) : value);
  const share = (level(max) - level(y0)) / (level(y1) - level(y0));
  return [x0 + share * (x1 - x0), max];
}

/** Characters of a label, the last one an ellipsis where there were more. */
const LONGEST = 32;

function shortened(name: string): string {
  const characters = [...name];
  return characters.length <= LONGEST ? name : `${characters.slice(0, LONGEST - 1).join('')}…`;
}

/** Pixels for the longest label: it stands in the page's font, which is not measured here, so widely. */
function labelRoom(series: readonly LineSeries[]): number {
  const labelled = series.filter((one) => one.labelled !== false);
  if (labelled.length === 0) return 24;
  const lengths = labelled.map(({ name }) => Math.min(LONGEST, [...name].length));
  return 36 + 7.5 * Math.max(8, ...lengths);
}

/** Braces are ECharts' own in a formatter. */
function plain(name: string): string {
  return name.replace(/[{}|]/g, ' ');
}

/** Its word stands at the left, above it, where lines have not yet spread. */
function levelLine({ value, label }: Level, { scale: { min, max } }: AxisSpec) {
  return {
    type: 'line' as const,
    silent: true,
    symbol: 'circle',
    symbolSize: 0.1,
    showAllSymbol: true,
    data: [{ value: [min, value], label: { show: label !== '' } }, { value: [max, value] }],
    lineStyle: { color: 'var(--line)', width: 1, type: 'dotted' as const },
    itemStyle: { color: 'var(--line)' },
    label: {
      show: false,
      formatter: plain(label),
      position: [6, -15],
      color: 'var(--soft)',
      fontSize: 12,
      textBorderWidth: 0,
    },
    z: 2,
  };
}
