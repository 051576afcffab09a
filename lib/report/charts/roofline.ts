import type { Html } from '../html';
import { mark } from '../numbers';
import { AXIS_ROOM, valueAxis, yName } from './axes';
import type { Option } from './echarts';
import { seriesStyle, TEXT } from './style';
import { drawing } from './svg';
import { logScale } from './ticks';

export interface RooflinePoint {
  name: string;
  intensity: number;
  gflops: number;
}

export interface Roof {
  name: string;
  /** GFLOP/s where arithmetic bounds. */
  gflops: number;
  /** GB/s. */
  bandwidth: number;
}

export interface Roofline {
  id: string;
  title: string;
  description: string;
  roofs: readonly Roof[];
  points: readonly RooflinePoint[];
}

/** Achieved rates under the roofs of a machine; both axes are logarithmic. */
export function rooflineChart(chart: Roofline): Html {
  const { id, title, description } = chart;
  return drawing({
    id,
    title,
    description,
    heights: [420, 320],
    option: ({ narrow }) => optionOf(chart, narrow),
  });
}

function optionOf({ roofs, points }: Roofline, narrow: boolean): Option {
  const ridges = roofs.map(({ gflops, bandwidth }) => gflops / bandwidth);
  const intensities = [...points.map(({ intensity }) => intensity), ...ridges];
  const rates = [...points.map(({ gflops }) => gflops), ...roofs.map(({ gflops }) => gflops)];
  const x = logScale(Math.min(...intensities) / 2, Math.max(...intensities) * 2);
  const y = logScale(Math.min(...rates) / 1.5, Math.max(...rates) * 1.2);
  const style = seriesStyle(1);
  return {
    grid: { left: AXIS_ROOM, right: narrow ? 14 : 150, top: 36, bottom: 52 },
    xAxis: valueAxis({ name: 'flops per byte', scale: x, log: true, format: mark }, 'x', narrow),
    yAxis: {
      ...valueAxis({ name: 'GFLOP/s', scale: y, log: true, format: mark }, 'y', narrow),
      ...yName('GFLOP/s'),
    },
    series: [
      ...roofs.map((roof) => ({
        type: 'line' as const,
        symbol: 'none',
        // From where bandwidth gives the lowest rate shown, up to the ridge, then level.
        data: [
          [Math.max(x.min, y.min / roof.bandwidth), Math.max(y.min, x.min * roof.bandwidth)],
          [roof.gflops / roof.bandwidth, roof.gflops],
          [x.max, roof.gflops],
        ],
        lineStyle: { color: 'var(--series-0)', width: 2 },
        endLabel: { show: !narrow, formatter: roof.name, ...TEXT.label, textBorderWidth: 0 },
        labelLayout: { moveOverlap: 'shiftY' as const },
      })),
      {
        type: 'scatter',
        symbol: style.symbol,
        symbolSize: 10,
        itemStyle: { color: style.color },
        data: points.map(({ name, intensity, gflops }) => ({ name, value: [intensity, gflops] })),
        label: {
          ...TEXT.label,
          fontSize: 12,
          show: !narrow,
          position: 'right',
          formatter: ({ dataIndex }: { dataIndex: number }) => points[dataIndex]!.name,
          textBorderWidth: 0,
        },
        labelLayout: { hideOverlap: true },
        z: 5,
      },
    ],
  };
}
