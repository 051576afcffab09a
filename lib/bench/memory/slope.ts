/** Exponent b of the best y ~ a xᵇ: the slope of the least-squares line in logarithms; null for fewer than two points. */
export function logLogSlope(points: readonly (readonly [number, number])[]): number | null {
  if (points.length < 2) return null;
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (of: 0 | 1) => logs.reduce((sum, point) => sum + point[of], 0) / logs.length;
  const [mx, my] = [mean(0), mean(1)];
  const across = logs.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  const along = logs.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  return across / along;
}
