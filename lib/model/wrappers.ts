/**
 * Models of text and images as data: where the text model inside of them lies, in the configuration and in the files. It is read
 * as one of its family; what lies around it is copied. The classes are those of transformers 5.24.
 */

/** Where the tensors of the text model lie in a file. */
export interface Layout {
  /** The experts of a block lie in one tensor, also where the family alone has each by itself; in some files with their matrices transposed, which their shapes say. */
  stacked?: 'as-is' | 'transposed';
  /** In place of `model.` in front of its names. */
  text: string;
  head: string;
  /** What other names begin with, and with what the stock class has them in memory, where that differs. */
  moved?: readonly (readonly [inFile: string, inMemory: string])[];
}

/** A text model that a wrapper may have. */
export interface TextModel {
  /** model_type of its configuration. */
  modelType: string;
  /** That of the family as which it is read. */
  as: string;
  /** Values that its class takes for absent keys, where the family's takes others. */
  defaults?: Record<string, unknown>;
}

export interface Wrapper {
  /** Of the configuration around, `text_config` being that of the text model. */
  modelType: string;
  stockClass: string;
  /** The first one is meant where the configuration does not say. */
  texts: readonly TextModel[];
  /** As the stock class has them in memory, and of files that older versions of transformers wrote. */
  layouts: readonly Layout[];
  /** Old configurations have the text model's keys beside the others, and no text_config. */
  flat?: true;
  /** The stock class takes no width of heads but hidden ÷ heads. */
  headsFillHidden?: true;
  /** What is seen is added behind the first blocks too, each counted. */
  addsByBlock?: true;
  /** Positions of images have three axes, which a GGUF file of the family's architecture has not. */
  axes?: true;
}

const HEAD = 'lm_head.weight';
const LLAVA_LAYOUTS: readonly Layout[] = [
  { text: 'model.language_model.', head: HEAD },
  {
    text: 'language_model.model.',
    head: 'language_model.lm_head.weight',
    moved: [
      ['vision_tower.', 'model.vision_tower.'],
      ['multi_modal_projector.', 'model.multi_modal_projector.'],
    ],
  },
];
const QWEN_LAYOUTS: readonly Layout[] = [
  { text: 'model.language_model.', head: HEAD },
  { text: 'model.', head: HEAD, moved: [['visual.', 'model.visual.']] },
];
const IDEFICS_LAYOUTS: readonly Layout[] = [{ text: 'model.text_model.', head: HEAD }];

const LLAMA: TextModel = {
  modelType: 'llama',
  as: 'llama',
  defaults: {
    vocab_size: 32000,
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
  },
};
const MISTRAL: TextModel = { modelType: 'mistral', as: 'mistral' };

/** Its three axes of positions are alike on text. */
const qwen2Text = (modelType: string): TextModel => ({
  modelType,
  as: 'qwen2',
  defaults: { rms_norm_eps: 1e-5, rope_theta: 1e6, max_window_layers: 80 },
});

export const WRAPPERS: readonly Wrapper[] = [
  {
    modelType: 'gemma3',
    stockClass: 'Gemma3ForConditionalGeneration',
    texts: [{ modelType: 'gemma3_text', as: 'gemma3_text' }],
    layouts: LLAVA_LAYOUTS,
  },
  {
    modelType: 'mistral3',
    stockClass: 'Mistral3ForConditionalGeneration',
    texts: [MISTRAL, { modelType: 'ministral3', as: 'ministral3' }],
    layouts: LLAVA_LAYOUTS,
  },
  {
    modelType: 'llava',
    stockClass: 'LlavaForConditionalGeneration',
    texts: [LLAMA, MISTRAL, { modelType: 'qwen2', as: 'qwen2' }],
    layouts: LLAVA_LAYOUTS,
  },
  {
    modelType: 'qwen2_vl',
    stockClass: 'Qwen2VLForConditionalGeneration',
    texts: [qwen2Text('qwen2_vl_text')],
    layouts: QWEN_LAYOUTS,
    flat: true,
    headsFillHidden: true,
    axes: true,
  },
  {
    modelType: 'qwen2_5_vl',
    stockClass: 'Qwen2_5_VLForConditionalGeneration',
    texts: [qwen2Text('qwen2_5_vl_text')],
    layouts: QWEN_LAYOUTS,
    flat: true,
    headsFillHidden: true,
    axes: true,
  },
  {
    modelType: 'qwen3_vl',
    stockClass: 'Qwen3VLForConditionalGeneration',
    texts: [{ modelType: 'qwen3_vl_text', as: 'qwen3', defaults: { rope_theta: 5e5 } }],
    layouts: [QWEN_LAYOUTS[0]!],
    addsByBlock: true,
    axes: true,
  },
  {
    modelType: 'qwen3_vl_moe',
    stockClass: 'Qwen3VLMoeForConditionalGeneration',
    texts: [
      {
        modelType: 'qwen3_vl_moe_text',
        as: 'qwen3_moe',
        defaults: {
          intermediate_size: 5632,
          num_attention_heads: 16,
          num_key_value_heads: 16,
          num_local_experts: 60,
          num_experts_per_tok: 4,
          moe_intermediate_size: 1408,
          max_position_embeddings: 128000,
          rope_theta: 5e5,
          norm_topk_prob: true,
        },
      },
    ],
    layouts: [{ ...QWEN_LAYOUTS[0]!, stacked: 'as-is' }],
    addsByBlock: true,
    axes: true,
  },
  {
    modelType: 'qwen3_5',
    stockClass: 'Qwen3_5ForConditionalGeneration',
    texts: [{ modelType: 'qwen3_5_text', as: 'qwen3_5_text' }],
    layouts: [QWEN_LAYOUTS[0]!],
    axes: true,
  },
  {
    modelType: 'qwen3_5_moe',
    stockClass: 'Qwen3_5MoeForConditionalGeneration',
    texts: [{ modelType: 'qwen3_5_moe_text', as: 'qwen3_5_moe_text' }],
    layouts: [QWEN_LAYOUTS[0]!],
    axes: true,
  },
  {
    modelType: 'idefics3',
    stockClass: 'Idefics3ForConditionalGeneration',
    texts: [LLAMA],
    layouts: IDEFICS_LAYOUTS,
  },
  {
    modelType: 'smolvlm',
    stockClass: 'SmolVLMForConditionalGeneration',
    texts: [LLAMA],
    layouts: IDEFICS_LAYOUTS,
  },
  {
    modelType: 'lfm2_vl',
    stockClass: 'Lfm2VlForConditionalGeneration',
    texts: [{ modelType: 'lfm2', as: 'lfm2' }],
    layouts: [LLAVA_LAYOUTS[0]!],
  },
];
