import type { Architecture } from './architecture';

/** What of a model only runs forward, in words that complete a sentence: no gradients go through it. null: nothing. */
export function forwardAlone({
  routing,
  convolution,
  delta,
  gatedAttention,
}: Pick<Architecture, 'routing' | 'convolution' | 'delta' | 'gatedAttention'>): string | null {
  if (routing) return 'the FFNs of this model are experts';
  if (convolution) return 'some blocks of this model have short convolutions';
  return delta || gatedAttention
    ? 'blocks of this model have gated delta rules or gated attention'
    : null;
}
