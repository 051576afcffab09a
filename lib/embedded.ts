import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { StruPruneError } from './errors';
import { packageRoot } from './package-root';

/** The tiny model that comes with the package. It was trained on windows of EMBEDDED_WINDOW tokens. */
export function embeddedModel(): string {
  return asset('tiny');
}

/** Texts that the tiny model was not trained on: one to calibrate, another to measure. */
export function embeddedTexts(): { calibration: string; evaluation: string } {
  return {
    calibration: asset('text', 'calibration.txt'),
    evaluation: asset('text', 'evaluation.txt'),
  };
}

/**
 * Prose, code, guides, dialogue and 15 languages, mixed (assets/text/NOTICE.md): 176,519 of SmolLM2's tokens to calibrate on, and
 * others to measure.
 */
export function embeddedMix(): { calibration: string; evaluation: string } {
  return { calibration: asset('text', 'mix.txt'), evaluation: asset('text', 'mix-held-out.txt') };
}

/** Whether that is the mix to calibrate on, by whatever path. */
export function isEmbeddedMix(calibration: unknown): boolean {
  return typeof calibration === 'string' && resolve(calibration) === embeddedMix().calibration;
}

export const EMBEDDED_WINDOW = 256;

function asset(...names: string[]): string {
  const path = join(packageRoot(), 'assets', ...names);
  if (existsSync(path)) return path;
  throw new StruPruneError(
    'ERR_NOT_FOUND',
    `an embedded file is not in ${path}`,
    'install the package anew, or work in a checkout of the repository',
  );
}
