import { projectByRatio, roundKept } from './projection';
import type { Structure } from './types';

export interface ChannelOptions {
  channels: number;
  hidden: number;
  gated: boolean;
  /** Kept widths are multiples of this (8 for hf; 32 or 256 for some GGUF types). Default 1. */
  multiple?: number;
}

/** FFN channels: a row of gate and up (with its bias) and a column of down. */
export function channelStructure(options: ChannelOptions): Structure {
  const { channels, hidden, gated, multiple = 1 } = options;
  const cost = (gated ? 3 : 2) * hidden;
  const rule = { multiple, least: Math.min(multiple, channels) };
  return {
    name: 'channels',
    groups: channels,
    costs: new Float64Array(channels).fill(cost),
    roundKept: (wanted) => roundKept(wanted, channels, rule),
    project: (energies, costs, budget) => projectByRatio(energies, costs, budget, rule),
  };
}
