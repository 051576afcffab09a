/** What commands say of the model that they take. */
export const MODEL_HELP =
  'Hugging Face folder, .gguf file, or owner/name of a model on the Hugging Face Hub';
