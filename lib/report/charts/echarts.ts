/**
 * The parts of ECharts that a report draws with, on the server. The build bundles this file with them
 * (scripts/lib/typescript.js), so that the package does not depend on ECharts' 60 MB.
 */
import { BarChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, MarkLineComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { LabelLayout } from 'echarts/features';
import { SVGRenderer } from 'echarts/renderers';

use([
  LineChart,
  BarChart,
  ScatterChart,
  GridComponent,
  MarkLineComponent,
  LabelLayout,
  SVGRenderer,
]);

export type Option = EChartsCoreOption;

/** The chart as SVG source, as ECharts writes it. */
export function drawSvg(option: Option, width: number, height: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, ...option });
    return chart.renderToSVGString();
  } finally {
    // A chart that is left alone keeps the process running.
    chart.dispose();
  }
}
