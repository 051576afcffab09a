import { type Html, html } from '../html';
import { drawSvg, type Option } from './echarts';
import { tidySvg } from './tidy';

export interface Size {
  width: number;
  height: number;
  /** For a phone: no direct labels, fewer ticks. */
  narrow: boolean;
}

export interface Drawing {
  /** Unique in the document. */
  id: string;
  title: string;
  /** What it shows, for who cannot see it. */
  description: string;
  /** Heights of the wide and of the narrow form, in pixels. */
  heights: readonly [wide: number, narrow: number];
  option: (size: Size) => Option;
}

const WIDE = 860;
const NARROW = 330;

/** A chart in two forms, of which the style sheet shows the one that fits the screen. */
export function drawing({ id, title, description, heights, option }: Drawing): Html {
  const forms = [
    { name: 'wide', width: WIDE, height: heights[0], narrow: false },
    { name: 'narrow', width: NARROW, height: heights[1], narrow: true },
  ];
  return html`${forms.map(({ name, ...size }) => {
    const svg = drawSvg(option(size), size.width, size.height);
    return tidySvg(svg, { id: `${id}-${name}`, title, description, className: name, ...size });
  })}`;
}
