/** What decides the bytes of a run or of a survey, so that a stored part is only used where it belongs. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cutWindows } from '../../calibration/cut-windows';
import { pathOf, type Text } from '../../calibration/text';
import type { Engine } from '../../engine/engine';
import { native } from '../../engine/native';
import type { ModelSource } from '../../model/architecture';
import { optionOf, optionsThat, type Settings } from '../../options';
import { ownText } from '../../options/kinds';
import { cutsChannels } from '../../options/method';
import { Own } from '../../own';
import { packageRoot } from '../../package-root';
import { storedTypes } from '../../spec/dtypes';
import type { OutputSpec } from '../../spec/output';
import { ffnMultiple, type Layer } from '../../spec/widths';
import { flagOf } from '../../wording';
import type { TuneText } from '../texts';

/** By the name that a message gives it. */
export type Identity = Record<string, string | number | boolean | null>;

export interface SurveyFacts {
  source: ModelSource;
  settings: Settings;
  hashes: readonly { name: string; sha256: string }[];
  /** Calibration tokens, whole windows. */
  ids: Int32Array;
  window: number;
  output: Pick<OutputSpec, 'dtype' | 'stored'>;
  engine: Pick<
    Engine,
    'threads' | 'device' | 'gemmPath' | 'calibrationPath' | 'searchPath' | 'precision'
  >;
}

export interface RunFacts extends SurveyFacts {
  tuneText: TuneText | null;
  layers: readonly Pick<Layer, 'priced'>[];
}

/**
 * Everything that the bytes of a run's blocks depend on. The memory budget and the scratch folder are not among it:
 * results do not depend on them. The threads and the device are, with the limit on the device's memory: they decide how rows
 * are shared out, and a library may round the products of other shapes in another way.
 */
export function runIdentity({ tuneText, layers, ...facts }: RunFacts): Identity {
  const times = layers.flatMap(({ priced }) => (priced ? [...priced.freed] : []));
  return {
    ...common(facts),
    ...machineIdentity(facts.engine),
    ...settingsInEffect(facts.settings),
    ...resolved(facts),
    'times of widths': times.length > 0 ? digest(JSON.stringify(times)) : null,
    'tuning tokens': tuneText && digest(bytesOf(tuneText.train), bytesOf(tuneText.heldOut)),
  };
}

/** What of the machine decides how numbers are rounded. */
export function machineIdentity({
  threads,
  device,
  gemmPath,
  calibrationPath,
  searchPath,
  precision,
}: SurveyFacts['engine']): Identity {
  const { features } = native.devices();
  const cpu = Object.entries(features).filter(([, has]) => has);
  return {
    threads,
    device,
    blas: native.blas,
    'GEMM path': gemmPath,
    'calibration by': calibrationPath,
    'searches by': searchPath,
    ...(device === 'cpu' ? {} : { precision }),
    'processor features': cpu.map(([name]) => name).join(' '),
  };
}

/** The settings that may change a weight, as they were given. */
export function settingsInEffect(settings: Settings): Identity {
  return pick(settings, optionsThat(['survey', 'run']));
}

/**
 * Everything that the dense survey of a run depends on; on another machine, and in full floats, it is the same but for
 * rounding. Products of bf16 are another matter.
 */
export function surveyIdentity(facts: SurveyFacts): Identity {
  const { precision } = facts.engine;
  return {
    ...common(facts),
    ...(precision === 'bf16' ? { precision } : {}),
    ...pick(facts.settings, optionsThat(['survey'])),
    ...resolved(facts),
  };
}

/** Settings whose defaults the model decides: the same when they are spelled out. */
function resolved({ source, settings, output }: SurveyFacts): Identity {
  const { dtype, stored } = output;
  const multiple = cutsChannels(settings.scope) ? ffnMultiple(settings, stored.matrices) : null;
  return { dtype: dtype.toLowerCase(), multiple, 'types of matrices': storedTypes(source, stored) };
}

function common({ source, hashes, ids, window }: SurveyFacts): Identity {
  const cut = cutWindows(ids.length, window);
  return {
    'struprune-native': programVersion(),
    checkpoint: digest(JSON.stringify([hashes.map(({ sha256 }) => sha256), source.config], plain)),
    'calibration tokens': digest(bytesOf(ids)),
    window,
    'cut windows': cut ? `1 of ${cut.every}, in ${cut.tokens} tokens each` : null,
  };
}

export function programVersion(): string {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')).version;
}

/** Settings as plain values in the order of their names; null where one is not set, or is a text that has no name. */
export function pick(settings: Settings, keys: readonly string[]): Identity {
  const value = (key: string) => {
    const setting = settings[key as Exclude<keyof Settings, 'given'>] ?? null;
    if (optionOf(key)?.takes === ownText) return pathOf(setting as Text) ?? null;
    if (Array.isArray(setting) || setting instanceof Int32Array) return setting.join();
    return setting instanceof Own ? String(setting) : setting;
  };
  return Object.fromEntries(keys.toSorted().map((key) => [key, value(key)]));
}

/** GGUF metadata may hold 64-bit numbers, which JSON cannot. */
function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function digest(...parts: (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

const HASHED = [
  'checkpoint',
  'calibration tokens',
  'calibration samples',
  'tuning tokens',
  'times of widths',
];

/** In words how `now` differs from what was stored; null when it does not. */
export function differenceOf(stored: Identity, now: Identity): string | null {
  const keys = [...new Set([...Object.keys(stored), ...Object.keys(now)])];
  const unlike = keys.filter((key) => (stored[key] ?? null) !== (now[key] ?? null));
  if (unlike.length === 0) return null;
  return unlike
    .map((key) => {
      const [before, after] = [stored[key] ?? 'none', now[key] ?? 'none'];
      // Nobody compares hashes by eye.
      const hashed = HASHED.includes(key);
      if (hashed) return `other ${key}`;
      // A switch is no flag with a value.
      const isFlag = optionOf(key) !== undefined && typeof (stored[key] ?? now[key]) !== 'boolean';
      return `${isFlag ? flagOf(key) : key} ${before}, now ${after}`;
    })
    .join('; ');
}
