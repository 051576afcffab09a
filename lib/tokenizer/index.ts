export type { Message } from './chat';
export { type TokenizeOptions, tokenize } from './file';
export { tokenizerFromGguf } from './from-gguf';
export { GrowingText, type OnText } from './growing-text';
export type { AskedQuestion, Continuation } from './jobs';
export { inThread } from './thread';
export { ggufMetadataFromTokenizer } from './to-gguf';
export {
  loadTokenizer,
  readTokenizerFiles,
  type Tokenizer,
  type TokenizerSource,
} from './tokenizer';
export type {
  GgufEntries,
  GgufEntry,
  TokenizerConfig,
  TokenizerFiles,
  TokenizerJson,
} from './types';
