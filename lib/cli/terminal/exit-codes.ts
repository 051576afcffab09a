/** Exit codes of the program; docs/cli.md lists them. */
import { constants } from 'node:os';
import type { ErrorCode } from '../../errors';

export const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  ERR_INTERNAL: 1,
  ERR_ARGUMENT: 2,
  ERR_NOT_FOUND: 3,
  ERR_CHECKPOINT: 3,
  ERR_UNSUPPORTED: 3,
  ERR_NAN: 3,
  ERR_TEXT: 3,
  ERR_TOKENIZER: 3,
  ERR_HUB: 3,
  ERR_OUTPUT: 4,
  ERR_SCRATCH: 4,
  ERR_NUMERIC: 5,
  ERR_VERIFY: 5,
  ERR_BUDGET: 6,
  ERR_ADDON: 7,
  ERR_DEVICE: 8,
  ERR_ABORTED: 130,
};

/** As shells count: 130 for SIGINT, 143 for SIGTERM. */
export function exitCodeOfSignal(name: NodeJS.Signals): number {
  return 128 + constants.signals[name];
}
