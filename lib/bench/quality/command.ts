import type { EngineOptions } from '../../engine/engine-options';
import { commandLine } from '../../wording';
import type { QualitySettings } from './options';

/** The command that measures the same again. */
export function qualityCommand(
  model: string,
  settings: QualitySettings,
  { threads, memory, bf16, fullPrecision, device, deviceMemory }: EngineOptions,
): string {
  const { force, scratch, eval: texts, ...rest } = settings;
  return commandLine(
    ['bench', 'quality', model],
    [
      ...Object.entries({ ...rest, threads, memory, bf16, fullPrecision, device, deviceMemory }),
      ...texts.map((text): [string, string] => ['eval', text]),
    ],
  );
}
