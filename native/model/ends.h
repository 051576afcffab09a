// What stands before the first block and after the last: embedding, positions, final norm, head.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/needs.h"
#include "core/paged_matrix.h"
#include "model/tensor_source.h"
#include "ops/norm.h"

namespace struprune {

struct EndsSpec {
  size_t hidden = 0;
  size_t vocab = 0;
  // Width of the embedding table and of the head's input where it differs from hidden (OPT-350m).
  size_t embedding_width = 0;
  size_t position_offset = 0;  // rows of the position table to skip
  float embedding_scale = 1;   // of the embedding's rows, before positions; not of a tied head
  float logit_cap = 0;         // of logits (ops/soft_cap.h); 0: none
  NormKind norm = NormKind::kRms;
  float eps = 1e-5f;
  // Everything is rounded to it as it is read.
  Stored stored;
  std::optional<TensorSource> embedding, positions, project_in, project_out, final_norm,
      final_norm_bias,
      head;  // head absent: tied to the embedding
  // Tokens that stand for the vocabulary: the head's rows in this order, `vocab` of them. Empty:
  // all.
  std::vector<int32_t> sample;

  const TensorSource& head_source() const { return head ? *head : *embedding; }
};

// Sizes of what a spec names.
struct EndsShape {
  size_t hidden = 0, vocab = 0, embedding_width = 0;
  bool positions = false, project_in = false, project_out = false;
  bool final_norm = false, final_norm_bias = false;
  bool capped = false;  // logits are
};
EndsShape ShapeOf(const EndsSpec& spec);

// Rows of a tensor as floats, rounded to `stored`; one of a single row is a vector.
void LoadStored(const EndsSpec& spec, const TensorSource& source, size_t row, size_t count,
                float* out);

// A whole tensor, empty where there is none.
Buffer<float> LoadWhole(Context& context, const EndsSpec& spec,
                        const std::optional<TensorSource>& source);
// The weight of the final norm.
Buffer<float> LoadFinalNorm(Context& context, const EndsSpec& spec);

// Throws ERR_ARGUMENT for an id outside the vocabulary; below 0 stands for no token where `none`.
void RequireTokens(const EndsSpec& spec, std::span<const int32_t> ids, bool none);

// hidden[tokens, hidden] <- embedding of ids (+ position i % window). Throws ERR_ARGUMENT for an id
// outside the vocabulary or a window longer than the position table.
void Embed(Context& context, const EndsSpec& spec, std::span<const int32_t> ids, size_t window,
           PagedMatrix& hidden);
Needs EmbedNeeds(const Context& context, const EndsShape& ends, size_t window,
                 const TokenPages& tokens);

// Rows of the vocabulary in memory at a time.
inline constexpr size_t kVocabularyTile = 4096;
// Of these, columns of one logits product; bounds a worker's scratch.
inline constexpr size_t kLogitColumns = 1024;
static_assert(kVocabularyTile % kLogitColumns == 0);

// Rows of the head's input that a task handles.
inline constexpr size_t kHeadChunk = 256;

// The last hidden states as the head reads them: final norm and projection; out[rows,
// embedding_width]. Loads what it needs once.
class HeadInput {
 public:
  HeadInput(Context& context, const EndsSpec& spec);
  static Needs NeedsOf(const EndsShape& ends);
  // Of rows [row, row + rows) of the hidden states, on all threads; scratch[threads * kHeadChunk,
  // hidden].
  void Read(Context& context, PagedMatrix& hidden, size_t row, size_t rows, float* scratch,
            float* out) const;
  // The same of states[rows, hidden].
  void Read(Context& context, size_t rows, const float* states, float* scratch, float* out) const;
  // scratch[rows, hidden]
  void Compute(size_t rows, const float* hidden, float* scratch, float* out) const;

 private:
  const EndsSpec& spec_;
  Buffer<float> norm_, bias_, projection_;
};

// table[count, embedding_width] <- rows [first, first + count) of the head, or of those that stand
// for it, on all threads.
void LoadVocabulary(Context& context, const EndsSpec& spec, size_t first, size_t count,
                    float* table);

// Calls visit(first, count, table[count, embedding_width]) for every tile of the head's rows in
// order.
void ForVocabularyTiles(
    Context& context, const EndsSpec& spec,
    const std::function<void(size_t first, size_t count, const float* table)>& visit);
Needs VocabularyTileNeeds(const EndsShape& ends);

// out[rows, columns], rows `stride` apart: the logits of inputs[rows, embedding_width] of the head
// by table[columns, embedding_width] of its rows.
void LogitsOf(const EndsSpec& spec, size_t rows, const float* inputs, size_t columns,
              const float* table, float* out, size_t stride);

// Useful flops of the head's logits.
double HeadFlops(const EndsShape& ends, size_t tokens);

// Logits of rows [row, row + count): out[count, vocab]. For small counts: tests and generation.
void Logits(Context& context, const EndsSpec& spec, PagedMatrix& hidden, size_t row, size_t count,
            float* out);

}  // namespace struprune
