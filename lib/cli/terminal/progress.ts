/** Progress on stderr: one line that changes on a terminal, now and then a plain line elsewhere. */

import { duration } from '../../numbers';
import type { OnProgress, Progress } from '../../progress';
import { colorsOf, isTerminal } from './colors';

const PLAIN_INTERVAL = 5000;
const REDRAW_INTERVAL = 100;
const BAR_WIDTH = 24;
const CLEAR_LINE = '\r\x1b[K';

export interface ProgressView {
  onProgress: OnProgress;
  /** Removes the changing line, so that other text can be printed. */
  clear(): void;
}

export function progressView(stream: NodeJS.WriteStream = process.stderr): ProgressView {
  return isTerminal(stream) ? changingLine(stream) : plainLines(stream);
}

function changingLine(stream: NodeJS.WriteStream): ProgressView {
  const show = throttle(REDRAW_INTERVAL, (progress) => {
    stream.write(CLEAR_LINE + barLine(progress, (stream.columns || 80) - 1, colorsOf(stream).cyan));
  });
  return { onProgress: show, clear: () => void stream.write(CLEAR_LINE) };
}

function plainLines(stream: NodeJS.WriteStream): ProgressView {
  const show = throttle(PLAIN_INTERVAL, (progress) => {
    stream.write(`${plainLine(progress)}\n`);
  });
  return { onProgress: show, clear: () => {} };
}

/** Lets a call through when the last one is long enough ago. */
function throttle(interval: number, show: OnProgress): OnProgress {
  let last = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const now = performance.now();
    if (now - last < interval) return;
    last = now;
    show(progress);
  };
}

/** `solve     [########----------------]  33 %  block 10 of 30  0:41 left`, cut to the width. */
export function barLine(
  progress: Progress,
  width: number,
  paint: (text: string) => string = (text) => text,
): string {
  const { stage, message } = progress;
  const share = shareOf(progress);
  const full = Math.round(share * BAR_WIDTH);
  const head = `${stage.padEnd(9)} [`;
  const bar = '#'.repeat(full) + '-'.repeat(BAR_WIDTH - full);
  const tail = `] ${String(Math.floor(100 * share)).padStart(3)} %  ${message}${timeLeft(progress)}`;
  const room = width - head.length - bar.length;
  // Too narrow for the bar: the words matter more.
  if (room < 20) return plainLine(progress).slice(0, width);
  return head + paint(bar) + tail.slice(0, room);
}

/** `solve: 33 %, block 10 of 30, 0:41 left`. */
export function plainLine(progress: Progress): string {
  const percent = Math.floor(100 * shareOf(progress));
  const left = timeLeft(progress).trim();
  return `${progress.stage}: ${percent} %, ${progress.message}${left && `, ${left}`}`;
}

function shareOf({ done, total }: Progress): number {
  return total > 0 ? Math.min(1, done / total) : 0;
}

function timeLeft({ secondsLeft }: Progress): string {
  return secondsLeft === null ? '' : `  ${duration(secondsLeft)} left`;
}
