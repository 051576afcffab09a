/** One edge of a lower convex hull: from removals `from` to removals `to`. */
export interface HullSegment {
  from: number;
  to: number;
  /** Error per removal along the edge. */
  slope: number;
}

/** Points nearer to a straight line than this (relative to the slopes) count as on it. */
const COLLINEAR = 1e-12;

/**
 * Lower convex hull of the points (k, curve[k]) over the allowed k (Andrew's monotone chain). Slopes grow
 * strictly from segment to segment.
 */
export function lowerHull(curve: Float64Array, allowed: Int32Array): HullSegment[] {
  const hull: HullSegment[] = [];
  let from = allowed[0]!;
  for (let step = 1; step < allowed.length; step++) {
    const to = allowed[step]!;
    let segment = edge(curve, from, to);
    for (let last = hull.at(-1); last && !isSteeper(segment, last); last = hull.at(-1)) {
      hull.pop();
      segment = edge(curve, last.from, to);
    }
    hull.push(segment);
    from = to;
  }
  return hull;
}

function edge(curve: Float64Array, from: number, to: number): HullSegment {
  return { from, to, slope: (curve[to]! - curve[from]!) / (to - from) };
}

function isSteeper(next: HullSegment, last: HullSegment): boolean {
  const scale = Math.abs(next.slope) + Math.abs(last.slope);
  return next.slope - last.slope > COLLINEAR * scale;
}
