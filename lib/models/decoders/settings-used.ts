import { DEFAULT_SHARD_BYTES } from '../../checkpoint/safetensors-writer';
import { OPTIONS } from '../../options';
import { type Identity, pick } from '../../pruning/journal/identity';
import { ffnMultiple } from '../../spec/widths';
import type { Run } from './run';

/** Every setting of a run as it took effect: the user's, the defaults, what the model decided, the machine's. */
export function settingsUsed(run: Run): Identity {
  const { settings, output, window, evaluation, engine } = run;
  const { dtype, takenOver, stored } = output;
  const { format, maxShardBytes } = settings;
  const { threads, memory, bf16, fullPrecision, device, deviceMemory } = engine.settings;
  return {
    ...pick(settings, Object.keys(OPTIONS)),
    // One that is given may make all matrices anew.
    dtype: takenOver ? null : dtype.toLowerCase(),
    multiple: ffnMultiple(settings, stored.matrices),
    maxShardBytes: format === 'hf' ? (maxShardBytes ?? DEFAULT_SHARD_BYTES) : null,
    window,
    evalWindow: settings.eval === undefined ? null : evaluation!.window,
    threads,
    memory: memory || null,
    bf16,
    fullPrecision,
    device,
    deviceMemory: deviceMemory || null,
  };
}
