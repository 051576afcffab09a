// Logits of a GGUF file by llama.cpp's C interface: llama_blas MODEL IDS.i32 LOGITS.f32, the text in one batch.
// LOGITS receives float32 [ids, vocab]; prints the architecture that was loaded. For a llama.cpp that was built with BLAS, whose
// maps then take activations as they are (scripts/lib/oracles.js).
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

namespace {

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "llama_blas: %s\n", what);
  std::exit(1);
}

std::vector<int32_t> ReadIds(const char* path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<int32_t> ids(static_cast<size_t>(file.tellg()) / sizeof(int32_t));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(ids.data()), ids.size() * sizeof(int32_t))) Fail("no ids");
  return ids;
}

// Errors alone.
void Log(ggml_log_level level, const char* text, void*) {
  if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) Fail("MODEL IDS.i32 LOGITS.f32");
  std::vector<int32_t> ids = ReadIds(arguments[2]);
  llama_log_set(Log, nullptr);
  llama_backend_init();
  if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_ACCEL)) Fail("llama.cpp has no BLAS");

  llama_model_params model_params = llama_model_default_params();
  model_params.n_gpu_layers = 0;
  // Repacked weights are for the kernels that round activations.
  model_params.use_extra_bufts = false;
  llama_model* model = llama_model_load_from_file(arguments[1], model_params);
  if (!model) Fail("the model does not load");

  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = static_cast<uint32_t>(ids.size());
  params.n_threads = params.n_threads_batch = 1;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = params.type_v = GGML_TYPE_F32;
  llama_context* context = llama_init_from_model(model, params);
  if (!context) Fail("no context");

  llama_batch batch = llama_batch_init(static_cast<int32_t>(ids.size()), 0, 1);
  batch.n_tokens = static_cast<int32_t>(ids.size());
  for (int32_t i = 0; i < batch.n_tokens; ++i) {
    batch.token[i] = ids[i];
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  if (llama_decode(context, batch) != 0) Fail("the forward pass failed");

  const int32_t vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
  std::ofstream file(arguments[3], std::ios::binary);
  for (int32_t i = 0; i < batch.n_tokens; ++i) {
    file.write(reinterpret_cast<const char*>(llama_get_logits_ith(context, i)),
               vocab * sizeof(float));
  }
  if (!file.flush()) Fail("the logits cannot be written");

  char architecture[64];
  llama_model_meta_val_str(model, "general.architecture", architecture, sizeof(architecture));
  std::puts(architecture);
  llama_batch_free(batch);
  llama_free(context);
  llama_model_free(model);
  llama_backend_free();
}
