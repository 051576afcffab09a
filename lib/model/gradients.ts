import type { Architecture } from './architecture';

/** What of a model only runs forward, in words that complete a sentence: no gradients go through it. null: nothing. */
export function forwardAlone({
  routing,
  convolution,
}: Pick<Architecture, 'routing' | 'convolution'>): string | null {
  if (routing) return 'the FFNs of this model are experts';
  return convolution ? 'some blocks of this model have short convolutions' : null;
}
