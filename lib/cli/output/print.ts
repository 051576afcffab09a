/** Results on stdout; JSON stands there alone, everything else goes to stderr. */
import { printable, printableJson } from '../../printable';
import { colorsOf } from '../terminal/colors';

export function printJson(value: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(value, null, 2))}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** For people who watch, beside the result. */
export function tell(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

export function warn(text: string): void {
  process.stderr.write(`${colorsOf(process.stderr).yellow('warning:')} ${printable(text)}\n`);
}
