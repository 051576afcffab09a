/**
 * The colours of a report in its light and its dark form. Charts and style sheet name them as CSS variables, so
 * that one SVG serves both. test/report/palette.test.ts holds them to WCAG's contrasts and to a distance
 * between any two series as protanopes, deuteranopes and tritanopes see them.
 */

export interface Theme {
  page: string;
  /** Of cards, figures and tables. */
  surface: string;
  ink: string;
  /** Secondary text. */
  soft: string;
  line: string;
  /** Grid lines of charts, borders of tables. */
  faint: string;
  accent: string;
  /** Behind what is to be noticed. */
  accentWash: string;
  warn: string;
  warnWash: string;
  series: readonly string[];
  /** First to last block. */
  ramp: readonly string[];
}

export const LIGHT: Theme = {
  page: '#f7f7f4',
  surface: '#ffffff',
  ink: '#1b1f24',
  soft: '#545b64',
  line: '#8a9099',
  faint: '#e3e4e0',
  accent: '#1746d1',
  accentWash: '#eef2ff',
  warn: '#8a4300',
  warnWash: '#fff4e5',
  series: ['#1746d1', '#e2500f', '#00694a', '#84418f', '#7a4300', '#0a8ad0', '#7b828a', '#1b1f24'],
  ramp: ['#6f8cff', '#4a68e8', '#5547c2', '#7a3a9c', '#9a2f78', '#b02a50', '#a83418'],
};

export const DARK: Theme = {
  page: '#101215',
  surface: '#16191d',
  ink: '#eceff3',
  soft: '#a7afb9',
  line: '#757d87',
  faint: '#2b3037',
  accent: '#84b4ff',
  accentWash: '#1a2436',
  warn: '#f3b36b',
  warnWash: '#2c2216',
  series: ['#4d96ff', '#f0803f', '#2fb877', '#c97fc9', '#e5c32d', '#3fe0ff', '#858c93', '#eceff3'],
  ramp: ['#a9c1ff', '#8ea4ff', '#9d8cf5', '#c07fdd', '#e27cb6', '#f58b90', '#ffa974'],
};

/** The declarations of a theme. */
export function variablesOf({ series, ramp, ...plain }: Theme): string {
  const named = Object.entries(plain).map(([name, value]) => [
    `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    value,
  ]);
  const listed = [
    ...series.map((value, i) => [`--series-${i}`, value]),
    ...ramp.map((value, i) => [`--ramp-${i}`, value]),
  ];
  return [...named, ...listed].map(([name, value]) => `${name}:${value}`).join(';');
}

/** Colour of place `at` of `count` in the order of the blocks. */
export function rampColor(at: number, count: number): string {
  const steps = LIGHT.ramp.length - 1;
  return `var(--ramp-${count < 2 ? 0 : Math.round((at / (count - 1)) * steps)})`;
}
