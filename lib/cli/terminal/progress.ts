/** Progress on stderr: one line that changes on a terminal, now and then a plain line elsewhere. */

import { duration } from '../../numbers';
import type { OnProgress, Progress } from '../../progress';
import { colorsOf, isTerminal } from './colors';

const PLAIN_INTERVAL = 5000;
const REDRAW_INTERVAL = 100;
const BAR_WIDTH = 24;
const LEAST_BAR = 10;
const LEAST_MESSAGE = 12;
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

/**
 * `solve     [########----------------]  33 %  block 10 of 30  0:41 left`, of the whole call where that is known, else of the stage. Where the width is too little for all of it the
 * bar gets shorter, then the message, then there is no bar: the time stays.
 */
export function barLine(
  progress: Progress,
  width: number,
  paint: (text: string) => string = (text) => text,
): string {
  const share = shareOf(progress);
  const head = `${progress.stage.padEnd(9)} [`;
  const percent = `] ${String(Math.floor(100 * share)).padStart(3)} %  `;
  const left = timeLeft(progress);
  const room = width - head.length - percent.length - left.length;
  const cells = Math.min(BAR_WIDTH, Math.max(LEAST_BAR, room - progress.message.length));
  if (room - cells < LEAST_MESSAGE) return plainLine(progress, width);
  const full = Math.round(share * cells);
  const bar = '#'.repeat(full) + '-'.repeat(cells - full);
  return head + paint(bar) + percent + cut(progress.message, room - cells) + left;
}

/** A text of at most so many characters. */
function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(most - 1, 0))}…`.slice(0, most);
}

/** `solve: 33 %, block 10 of 30, 0:41 left`; with a width its message is cut, and what is still too long. */
export function plainLine(progress: Progress, width = Number.POSITIVE_INFINITY): string {
  const head = `${progress.stage}: ${Math.floor(100 * shareOf(progress))} %, `;
  const time = timeLeft(progress).trim();
  const left = time && `, ${time}`;
  const message = cut(progress.message, Math.max(width - head.length - left.length, 0));
  return cut(head + message + left, width);
}

function shareOf({ done, total, overall }: Progress): number {
  if (overall !== null) return overall.share;
  return total > 0 ? Math.min(1, done / total) : 0;
}

function timeLeft({ secondsLeft: ofStage, overall }: Progress): string {
  const seconds = overall === null ? ofStage : overall.secondsLeft;
  return seconds === null ? '' : `  ${duration(seconds)} left`;
}
