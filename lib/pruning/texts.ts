/** Which windows of the calibration text calibrate, which tune what the solve leaves, and which measure both models. */
import { fewerThanAWindow } from '../calibration/corpus';
import { counted } from '../numbers';
import type { RunSettings } from '../options';

export interface Texts {
  /** Of sums and refits. */
  ids: Int32Array;
  /** Of tuning, no window of which is among `ids`; null: nothing is tuned. */
  tuneText: TuneText | null;
  /** What the user should know of the choice. */
  warning: string | null;
}

/** Whole windows. */
export interface TuneText {
  train: Int32Array;
  /** They stop the training and choose what stays. */
  heldOut: Int32Array;
}

const NO_TEXT =
  'the calibration text has nothing behind its calibration tokens to tune on, so the pruned model stays as it was solved: a longer text, fewer --calibration-tokens or --tune-tokens N would make it better';

/** Windows that measure the dense and the pruned model, where no other text does. */
const MEASURED = 8;

/** One window of so many is held out, and so many at most. */
const HELD_OUT = { most: 4, share: 8 };
/** Of a text that has none left: one window of so many tunes. */
const OWN_SHARE = 4;

/** How many tokens do what. */
export interface Shares {
  calibration: number;
  /** Behind those; `asked`: even where the text has none there. */
  tuning: number;
  asked: boolean;
  /** Behind all: what nobody asked to tune leaves so many. */
  measuring: number;
}

/**
 * Splits whole windows into those that calibrate and those that tune.
 * @throws StruPruneError ERR_TEXT when fewer than a window are to calibrate
 */
export function splitText(
  text: Int32Array,
  window: number,
  { calibration, tuning, asked, measuring }: Shares,
): Texts {
  const tokens = Math.floor(calibration / window) * window;
  if (tokens === 0) throw fewerThanAWindow(calibration, window);
  const calibrates = text.subarray(0, tokens);
  if (tuning === 0) return { ids: calibrates, tuneText: null, warning: null };
  const spare = text.length - tokens - (asked ? 0 : measuring);
  const most = Math.max(0, Math.min(tuning, spare));
  const fresh = text.subarray(tokens, tokens + Math.floor(most / window) * window);
  const tuneText = tuneTextOf(fresh, window);
  if (tuneText) return { ids: calibrates, tuneText, warning: null };
  if (!asked) return { ids: calibrates, tuneText: null, warning: NO_TEXT };
  const windows = calibrates.length / window;
  const own = Math.floor(windows / OWN_SHARE);
  const rest = calibrates.subarray(0, (windows - own) * window);
  const kept = tuneTextOf(calibrates.subarray(rest.length), window);
  if (kept === null) {
    const warning = `the calibration text has ${counted(windows, 'window')} of ${window} tokens: too few to tune the pruned model too`;
    return { ids: calibrates, tuneText: null, warning };
  }
  const warning = `the calibration text ends with its calibration tokens: ${counted(own, 'window')} of ${windows} tune, and the others calibrate`;
  return { ids: rest, tuneText: kept, warning };
}

/** Tokens behind those that calibrate and tune which `measuringText` would have. */
export function measuringTokens(window: number): number {
  return MEASURED * window;
}

/** Windows that measure. */
export interface MeasuringText {
  ids: Int32Array;
  /** In words what they are. */
  name: string;
  /** Of the text that calibrates, and calibrated nothing. */
  heldOut: boolean;
}

/** Of what a text has behind its first `used` tokens, or of those where it has no more. */
export function measuringText(text: Int32Array, used: number, window: number): MeasuringText {
  const held = Math.min(Math.floor((text.length - used) / window), MEASURED);
  if (held > 0) {
    const ids = text.subarray(used, used + held * window);
    return {
      ids,
      name: `${counted(held, 'window')} of the calibration text that calibrated nothing`,
      heldOut: true,
    };
  }
  const ids = lastWindows(text.subarray(0, used), window);
  return {
    ids,
    name: `${counted(ids.length / window, 'window')} that calibrated, which flatters the pruned model`,
    heldOut: false,
  };
}

/** Of a text, as many as measure; `text`: whole windows. */
export function lastWindows(text: Int32Array, window: number): Int32Array {
  return text.subarray(Math.max(0, text.length - MEASURED * window));
}

/** Windows of a text that tunes: those that train, and those that are held out. */
export interface TuneWindows {
  train: number;
  heldOut: number;
}

/** null: too few to tune. */
export function tuneShares(windows: number): TuneWindows | null {
  if (windows < 2) return null;
  const heldOut = Math.min(HELD_OUT.most, Math.ceil(windows / HELD_OUT.share));
  return { train: windows - heldOut, heldOut };
}

/** As if the text had as much as is asked for. */
export function askedWindows(
  { tuneTokens, tuneMix }: Pick<RunSettings, 'tuneTokens' | 'tuneMix'>,
  window: number,
): TuneWindows | null {
  const own = tuneShares(Math.floor(tuneTokens / window));
  return own && { ...own, train: own.train + Math.floor(tuneMix / window) };
}

/** With windows of another text that train too, spread evenly among its own. */
export function mixedInto({ train, heldOut }: TuneText, mix: Int32Array, window: number): TuneText {
  const [own, other] = [train, mix].map((text) => text.length / window) as [number, number];
  const all = new Int32Array(train.length + mix.length);
  let [mine, others] = [0, 0];
  for (let at = 0; at < all.length; at += window) {
    const isMine = others === other || (mine < own && mine * other <= others * own);
    const from = (isMine ? mine++ : others++) * window;
    all.set((isMine ? train : mix).subarray(from, from + window), at);
  }
  return { train: all, heldOut };
}

/** Its first windows train. */
function tuneTextOf(text: Int32Array, window: number): TuneText | null {
  const shares = tuneShares(text.length / window);
  if (shares === null) return null;
  const train = shares.train * window;
  return { train: text.subarray(0, train), heldOut: text.subarray(train) };
}
