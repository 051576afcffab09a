import type { Choices } from './types';

/** One edge of a site's lower convex hull: from one choice to a later one. */
export interface HullSegment {
  from: number;
  to: number;
  /** Loss per weight along the edge. */
  slope: number;
}

/** Points nearer to a straight line than this (relative to the slopes) count as on it. */
const COLLINEAR = 1e-12;

/** Lower convex hull of the points (freed, loss) of the choices (Andrew's monotone chain). Slopes grow strictly from segment to segment. */
export function lowerHull({ freed, loss }: Pick<Choices, 'freed' | 'loss'>): HullSegment[] {
  const edge = (from: number, to: number): HullSegment => {
    const slope = (loss![to]! - loss![from]!) / (freed[to]! - freed[from]!);
    return { from, to, slope };
  };
  const hull: HullSegment[] = [];
  for (let to = 1; to < freed.length; to++) {
    let segment = edge(to - 1, to);
    for (let last = hull.at(-1); last && !isSteeper(segment, last); last = hull.at(-1)) {
      hull.pop();
      segment = edge(last.from, to);
    }
    hull.push(segment);
  }
  return hull;
}

function isSteeper(next: HullSegment, last: HullSegment): boolean {
  const scale = Math.abs(next.slope) + Math.abs(last.slope);
  return next.slope - last.slope > COLLINEAR * scale;
}
