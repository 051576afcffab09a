import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const MODELS = join(__dirname, '..', 'fixtures', 'models');

export function fixtureConfig(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(MODELS, name, 'config.json'), 'utf8'));
}
