import { shortened } from './printable';
import { worded } from './wording';

/**
 * Every error that the library raises on purpose. `code` is stable and documented in docs/errors.md;
 * `mend` says what the user can do about it. Native code throws the same three fields
 * (native/core/error.h) and the addon hands them over unchanged.
 */
export type ErrorCode =
  | 'ERR_ARGUMENT' // an option or a call that cannot be meant
  | 'ERR_NOT_FOUND' // a file or folder that is not there
  | 'ERR_CHECKPOINT' // a file that is not a well-formed safetensors, GGUF or ONNX model
  | 'ERR_UNSUPPORTED' // well-formed, but a family, dtype or combination that this program does not hold
  | 'ERR_NAN' // weights or activations that are not finite
  | 'ERR_TEXT' // calibration or evaluation text that is empty, too short or not UTF-8
  | 'ERR_TOKENIZER'
  | 'ERR_HUB' // a model of the Hugging Face Hub that cannot be had: gated, no network, a download cut off
  | 'ERR_OUTPUT' // output exists, is unwritable, or the disk is full
  | 'ERR_SCRATCH' // a scratch file cannot be made, written or read, or does not keep its bytes
  | 'ERR_VERIFY' // the written checkpoint does not reproduce the run's own result
  | 'ERR_BUDGET' // the memory budget cannot hold the work
  | 'ERR_NUMERIC' // a factorisation that failed although the ridge was raised
  | 'ERR_ABORTED'
  | 'ERR_DEVICE' // the GPU that was asked for cannot be used
  | 'ERR_ADDON' // the native addon is missing or does not load
  | 'ERR_INTERNAL';

/** The mend of an argument that nothing more can be said of, as of native calls. */
const USAGE = 'docs/api.md says what can be given';

export class StruPruneError extends Error {
  readonly code: ErrorCode;
  /** What the user can do about it, one sentence; empty when there is nothing. */
  readonly mend: string;

  constructor(
    code: ErrorCode,
    message: string,
    mend = code === 'ERR_ARGUMENT' ? USAGE : '',
    options?: ErrorOptions,
  ) {
    // What a file says of itself may be in either.
    const [found, way] = [shortened(message), shortened(mend)];
    super(worded(way ? `${found}; ${way}` : found), options);
    this.name = 'StruPruneError';
    this.code = code;
    this.mend = worded(way);
  }

  /** The message without the mend. @internal */
  get found(): string {
    const end = this.mend ? this.message.length - this.mend.length - 2 : this.message.length;
    return this.message.slice(0, end);
  }

  /** The same error with one more thing that the user can do. */
  with(mend: string): StruPruneError {
    const both = this.mend ? `${this.mend}; ${mend}` : mend;
    return new StruPruneError(this.code, this.found, both, { cause: this });
  }
}

/** What the system has no more of; null where an error says nothing of that. */
export function scarcity(error: unknown): StruPruneError | null {
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  const said = `${code} ${message}`;
  const lacks = (what: string, mend: string) =>
    new StruPruneError('ERR_BUDGET', `the system gave no more ${what}`, mend, { cause: error });
  // As Node's own, of threads that could not start too.
  if (/\bE[MN]FILE\b/.test(said)) {
    return lacks('open files', 'raise the limit, for this shell: `ulimit -n 1024`');
  }
  // The last are the words of the loader of shared libraries.
  if (/\bENOMEM\b|OUT_OF_MEMORY|allocation failed|failed to map segment/i.test(said)) {
    return lacks('memory', 'lower --memory, or free memory');
  }
  return null;
}

/** Any thrown value as a StruPruneError; errors of the native addon bring code and mend along. */
export function asStruPruneError(error: unknown): StruPruneError {
  if (error instanceof StruPruneError) return error;
  const { code, mend, message } = error as { code?: string; mend?: string; message?: string };
  if (typeof code === 'string' && code.startsWith('ERR_') && typeof mend === 'string') {
    return new StruPruneError(code as ErrorCode, message ?? '', mend || undefined, {
      cause: error,
    });
  }
  return (
    scarcity(error) ??
    new StruPruneError('ERR_INTERNAL', message ?? String(error), '', { cause: error })
  );
}
