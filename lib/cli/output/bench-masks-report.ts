import type { BenchDocument } from '../../documents/bench';
import { summariseMasks } from '../../documents/mask-summary';
import { duration, grouped, percent } from '../../numbers';
import { table } from './table';

export function masksReport({ masks }: BenchDocument): string {
  const { model, calibration, searches } = masks!;
  const head = ['removed', 'search', 'error', 'worst', 'best at', 'time', 'swaps', 'at rest'];
  const rows = summariseMasks(masks!).map((one) => [
    percent(one.share),
    one.label,
    `×${one.ratio.toFixed(4)}`,
    `×${one.worst.toFixed(4)}`,
    `${one.best} of ${one.sites}`,
    duration(one.seconds),
    one.swaps === null ? '-' : grouped(one.swaps),
    one.settled === null ? '-' : `${one.settled} of ${one.sites}`,
  ]);
  return [
    `${model.name}, ${grouped(calibration.tokens)} tokens of ${calibration.name}: error of every site after the exact refit ÷ that of ${searches[0]!.label}, geometric mean`,
    table([head, ...rows], ['right', 'left', 'right', 'right', 'right', 'right', 'right', 'right']),
  ].join('\n\n');
}
