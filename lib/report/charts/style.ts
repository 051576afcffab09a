/** How a series is told from the others without its colour: marker, dashes and a label at its end. */

export interface SeriesStyle {
  color: string;
  /** ECharts' name of the marker; 'none' for bare lines. */
  symbol: string;
  dash: 'solid' | 'dashed' | 'dotted' | 'dashdot';
  width: number;
}

const MARKERS = [
  'circle',
  'diamond',
  'rect',
  'triangle',
  'emptyCircle',
  'emptyDiamond',
  'emptyRect',
  'emptyTriangle',
] as const;

/** Style of the series at place `index`; after the last colour they come again, with other dashes and markers. */
export function seriesStyle(index: number, strong = true): SeriesStyle {
  const round = Math.floor(index / MARKERS.length);
  return {
    color: `var(--series-${index % MARKERS.length})`,
    symbol: MARKERS[(index + round) % MARKERS.length]!,
    dash: round > 0 ? 'dashdot' : strong ? 'solid' : 'dashed',
    width: strong ? 2.5 : 1.75,
  };
}

/** A line that stands for itself by its label: no marker. */
export function bareLine(color: string, width = 1.25): SeriesStyle {
  return { color, symbol: 'none', dash: 'solid', width };
}

/** A marker without a line. */
export function dotStyle(index: number, color: string): SeriesStyle {
  return { ...seriesStyle(index), color, width: 0 };
}

export const TEXT = {
  axis: { color: 'var(--soft)', fontSize: 13 },
  name: { color: 'var(--soft)', fontSize: 13 },
  label: { color: 'var(--ink)', fontSize: 13 },
} as const;

/** Dashes and gaps of a line, in pixels. */
export const DASHES = {
  solid: [],
  dashed: [5, 4],
  dotted: [2, 3],
  dashdot: [8, 3, 2, 3],
} as const;
