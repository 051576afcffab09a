/** Results on stdout; JSON stands there alone, everything else goes to stderr. */
import { colorsOf } from '../terminal/colors';
import { printable } from '../terminal/printable';

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** For people who watch, beside the result. */
export function tell(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

export function warn(text: string): void {
  process.stderr.write(`${colorsOf(process.stderr).yellow('warning:')} ${printable(text)}\n`);
}
