import pc from 'picocolors';

/** Whether a stream takes escape sequences that move the cursor. */
export function isTerminal(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && process.env.TERM !== 'dumb';
}

/** Colours of a stream: none without a terminal, and none where NO_COLOR is set (no-color.org). */
export function colorsOf(stream: NodeJS.WriteStream): ReturnType<typeof pc.createColors> {
  return pc.createColors(isTerminal(stream) && !process.env.NO_COLOR);
}
