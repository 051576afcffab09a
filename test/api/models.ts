/** The embedded model and settings under which a whole prune takes a second. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EMBEDDED_WINDOW, embeddedModel, embeddedTexts } from '../../lib/embedded';

export const MODEL = embeddedModel();
export const { calibration: CALIBRATION, evaluation: EVALUATION } = embeddedTexts();

/** Of survey(). */
export const SMALL_SURVEY = {
  calibration: CALIBRATION,
  calibrationTokens: 4 * EMBEDDED_WINDOW,
  surveyTokens: 2 * EMBEDDED_WINDOW,
  window: EMBEDDED_WINDOW,
};

/** Of prune(). */
export const SMALL = { ...SMALL_SURVEY, tuneTokens: 0 };

export interface Work {
  /** A new path. */
  path(name: string): string;
  remove(): void;
}

export function workFolder(): Work {
  const root = mkdtempSync(join(tmpdir(), 'struprune-api-'));
  let count = 0;
  return {
    path: (name) => join(root, `${count++}-${name}`),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}
