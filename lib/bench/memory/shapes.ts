/** The published OPT models (arXiv 2205.01068, table 1), as their config.json have them. */
export interface OptShape {
  name: string;
  hidden: number;
  blocks: number;
  heads: number;
  /** Narrower embedding of the 350M model, whose norms stand behind. */
  embeddingWidth?: number;
}

export const OPT_SHAPES: readonly OptShape[] = [
  { name: '125m', hidden: 768, blocks: 12, heads: 12 },
  { name: '350m', hidden: 1024, blocks: 24, heads: 16, embeddingWidth: 512 },
  { name: '1.3b', hidden: 2048, blocks: 24, heads: 32 },
  { name: '2.7b', hidden: 2560, blocks: 32, heads: 32 },
  { name: '6.7b', hidden: 4096, blocks: 32, heads: 32 },
];

export function optConfig({ hidden, blocks, heads, embeddingWidth }: OptShape) {
  return {
    architectures: ['OPTForCausalLM'],
    model_type: 'opt',
    hidden_size: hidden,
    word_embed_proj_dim: embeddingWidth ?? hidden,
    ffn_dim: 4 * hidden,
    num_hidden_layers: blocks,
    num_attention_heads: heads,
    vocab_size: 50272,
    max_position_embeddings: 2048,
    do_layer_norm_before: embeddingWidth === undefined,
    activation_function: 'relu',
    tie_word_embeddings: true,
    enable_bias: true,
    torch_dtype: 'float16',
  };
}
