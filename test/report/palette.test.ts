/**
 * WCAG 2.2 contrasts (1.4.3 text 4.5:1, 1.4.11 graphics 3:1), and distances between the colours of series in
 * CIELAB as dichromats see them (simulation matrices of Machado, Oliveira and Fernandes 2009).
 */
import test from 'ava';
import { DARK, LIGHT, type Theme } from '../../lib/report/palette';

type Triple = [number, number, number];

const SIGHT: Readonly<Record<string, readonly Triple[]>> = {
  full: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

const XYZ: readonly Triple[] = [
  [0.4124564, 0.3575761, 0.1804375],
  [0.2126729, 0.7151522, 0.072175],
  [0.0193339, 0.119192, 0.9503041],
];

const times = (rows: readonly Triple[], vector: Triple): Triple =>
  rows.map((row) => row.reduce((sum, value, i) => sum + value * vector[i]!, 0)) as Triple;

function linear(hex: string): Triple {
  return [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as Triple;
}

function contrast(a: string, b: string): number {
  const [low, high] = [a, b].map((hex) => times(XYZ, linear(hex))[1]).sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
}

function lab(hex: string, sight: readonly Triple[]): Triple {
  const seen = times(sight, linear(hex)).map((v) => Math.min(1, Math.max(0, v))) as Triple;
  const [x, y, z] = times(XYZ, seen);
  const f = (v: number) => (v > 216 / 24389 ? Math.cbrt(v) : (841 / 108) * v + 4 / 29);
  const [fx, fy, fz] = [f(x / 0.95047), f(y), f(z / 1.08883)];
  return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)];
}

for (const [name, theme] of Object.entries({ light: LIGHT, dark: DARK } as Record<string, Theme>)) {
  test(`${name}: text and graphics stand out`, (t) => {
    const { page, surface, accentWash, warnWash, ink, soft, accent, warn } = theme;
    for (const [text, ...grounds] of [
      [ink, page, surface, accentWash, warnWash],
      [soft, page, surface],
      [accent, page, surface],
      [warn, warnWash],
    ] as const) {
      for (const ground of grounds) {
        t.true(contrast(text, ground) >= 4.5, `${text} on ${ground}`);
      }
    }
    for (const color of [...theme.series, ...theme.ramp, theme.line]) {
      t.true(contrast(color, surface) >= 3, `${color} on ${surface}`);
    }
  });

  for (const [sight, matrix] of Object.entries(SIGHT)) {
    test(`${name}: series differ under ${sight}`, (t) => {
      const seen = theme.series.map((color) => lab(color, matrix));
      for (const [i, a] of seen.entries()) {
        for (const b of seen.slice(0, i)) {
          t.true(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) >= 15);
        }
      }
    });
  }
}
