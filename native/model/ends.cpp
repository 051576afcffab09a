#include "model/ends.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/gemm.h"
#include "ops/soft_cap.h"

namespace struprune {
namespace {

// Numbers of the buffers of Embed.
struct EmbedCounts {
  EmbedCounts(const Context& context, const EndsShape& ends, size_t window)
      : projection(ends.project_in ? ends.hidden * ends.embedding_width : 0),
        positions(ends.positions ? window * ends.hidden : 0),
        rows(context.pool.size() * kHeadChunk * ends.embedding_width) {}
  size_t projection, positions, rows;
};

// Of the table's tile at hand.
size_t TileOf(const EndsShape& ends) {
  return std::min(kVocabularyTile, ends.vocab) * ends.embedding_width;
}

}  // namespace

EndsShape ShapeOf(const EndsSpec& spec) {
  return {spec.hidden,
          spec.vocab,
          spec.embedding_width,
          spec.positions.has_value(),
          spec.project_in.has_value(),
          spec.project_out.has_value(),
          spec.final_norm.has_value(),
          spec.final_norm_bias.has_value(),
          spec.logit_cap > 0};
}

void LoadStored(const EndsSpec& spec, const TensorSource& source, size_t row, size_t count,
                float* out) {
  LoadRows(source, row, count, out);
  const Dtype dtype = source.rows == 1 ? spec.stored.vectors : spec.stored.matrices;
  // What the file has in the very type is copied, whatever the encoder would make of it.
  if (source.dtype != dtype) RoundTo(dtype, count, source.cols, out);
}

Buffer<float> LoadWhole(Context& context, const EndsSpec& spec,
                        const std::optional<TensorSource>& source) {
  if (!source) return {};
  auto values = context.Allocate<float>(source->rows * source->cols);
  LoadStored(spec, *source, 0, source->rows, values.data());
  return values;
}

Buffer<float> LoadFinalNorm(Context& context, const EndsSpec& spec) {
  if (!spec.final_norm) return {};
  const Scaling scaling{spec.stored.final_norm_scale, spec.stored.norm_offset};
  auto values = context.Allocate<float>(spec.final_norm->cols);
  LoadRows(*spec.final_norm, 0, 1, values.data());
  RoundTo(spec.stored.vectors, 1, values.size(), values.data(), scaling);
  return values;
}

void RequireTokens(const EndsSpec& spec, std::span<const int32_t> ids, bool none) {
  for (const int32_t id : ids) {
    if (id < 0 ? none : static_cast<size_t>(id) < spec.vocab) continue;
    throw Error("ERR_ARGUMENT",
                "token id " + std::to_string(id) + " lies outside the vocabulary of " +
                    std::to_string(spec.vocab),
                "the tokenizer does not belong to this model");
  }
}

void Embed(Context& context, const EndsSpec& spec, std::span<const int32_t> ids, size_t window,
           PagedMatrix& hidden) {
  const size_t width = spec.embedding_width, d = spec.hidden;
  if (spec.positions && window + spec.position_offset > spec.positions->rows) {
    throw Error("ERR_ARGUMENT",
                "the model has positions for " +
                    std::to_string(spec.positions->rows - spec.position_offset) +
                    " tokens, the window is " + std::to_string(window),
                "choose a smaller --window");
  }
  RequireTokens(spec, ids, false);
  const auto projection = LoadWhole(context, spec, spec.project_in);
  const EmbedCounts sizes(context, ShapeOf(spec), window);
  auto positions = context.Allocate<float>(sizes.positions);
  if (spec.positions) {
    LoadStored(spec, *spec.positions, spec.position_offset, window, positions.data());
  }
  auto rows = context.Allocate<float>(sizes.rows);
  hidden.ForgetEarlier(0, hidden.rows());
  const size_t flight = std::min(ids.size(), hidden.page_rows());
  const auto [begin, end] = hidden.held();
  for (size_t row = begin; row < end; row += flight) {
    const size_t count = std::min(flight, end - row);
    const PagedMatrix::View view(hidden, row, count, PagedMatrix::Access::kWrite);
    context.pool.ParallelFor(
        (count + kHeadChunk - 1) / kHeadChunk, [&](size_t chunk, size_t worker) {
          context.CheckAbort();
          const size_t first = chunk * kHeadChunk, n = std::min(kHeadChunk, count - first);
          float* out = view.data() + first * d;
          float* table = projection.empty() ? out : rows.data() + worker * kHeadChunk * width;
          for (size_t i = 0; i < n; ++i) {
            LoadStored(spec, *spec.embedding, static_cast<size_t>(ids[row + first + i]), 1,
                       table + i * width);
          }
          if (spec.embedding_scale != 1) {
            for (size_t i = 0; i < n * width; ++i) table[i] *= spec.embedding_scale;
          }
          if (!projection.empty()) {
            Gemm(Trans::kNo, Trans::kYes, n, d, width, 1.0f, table, width, projection.data(), width,
                 0.0f, out, d);
          }
          if (positions.empty()) return;
          for (size_t i = 0; i < n; ++i) {
            const size_t token = row + first + i;
            const size_t position = token % window % hidden.cut().TokensAt(token, window);
            const float* at = positions.data() + position * d;
            for (size_t j = 0; j < d; ++j) out[i * d + j] += at[j];
          }
        });
  }
}

Needs EmbedNeeds(const Context& context, const EndsShape& ends, size_t window,
                 const TokenPages& tokens) {
  const EmbedCounts n(context, ends, window);
  return HeldFloats(n.projection + n.positions + n.rows) + tokens.View(ends.hidden);
}

HeadInput::HeadInput(Context& context, const EndsSpec& spec)
    : spec_(spec),
      norm_(LoadFinalNorm(context, spec)),
      bias_(LoadWhole(context, spec, spec.final_norm_bias)),
      projection_(LoadWhole(context, spec, spec.project_out)) {}

Needs HeadInput::NeedsOf(const EndsShape& ends) {
  const size_t d = ends.hidden;
  return HeldFloats((ends.final_norm ? d : 0) + (ends.final_norm_bias ? d : 0) +
                    (ends.project_out ? d * ends.embedding_width : 0));
}

void HeadInput::Compute(size_t rows, const float* hidden, float* scratch, float* out) const {
  const size_t d = spec_.hidden, width = spec_.embedding_width;
  const float* x = hidden;
  if (!norm_.empty()) {
    float* to = projection_.empty() ? out : scratch;
    Norm(spec_.norm, rows, d, hidden, d, norm_.data(), bias_.empty() ? nullptr : bias_.data(),
         spec_.eps, to, d);
    x = to;
  }
  if (!projection_.empty()) {
    Gemm(Trans::kNo, Trans::kYes, rows, width, d, 1.0f, x, d, projection_.data(), d, 0.0f, out,
         width);
  } else if (x != out) {
    std::copy_n(x, rows * d, out);
  }
}

void HeadInput::Read(Context& context, PagedMatrix& hidden, size_t row, size_t rows, float* scratch,
                     float* out) const {
  for (size_t done = 0; done < rows;) {
    const size_t run = hidden.Run(row + done, rows - done);
    const PagedMatrix::View view(hidden, row + done, run, PagedMatrix::Access::kRead);
    Read(context, run, view.data(), scratch, out + done * spec_.embedding_width);
    done += run;
  }
}

void HeadInput::Read(Context& context, size_t rows, const float* states, float* scratch,
                     float* out) const {
  const size_t d = spec_.hidden;
  context.pool.ParallelFor((rows + kHeadChunk - 1) / kHeadChunk, [&](size_t chunk, size_t worker) {
    context.CheckAbort();
    const size_t first = chunk * kHeadChunk;
    Compute(std::min(kHeadChunk, rows - first), states + first * d,
            scratch + worker * kHeadChunk * d, out + first * spec_.embedding_width);
  });
}

void LoadVocabulary(Context& context, const EndsSpec& spec, size_t first, size_t count,
                    float* table) {
  const TensorSource& head = spec.head_source();
  const size_t rows = std::clamp<size_t>(count / (2 * context.pool.size()), 8, 64);
  context.pool.ParallelFor((count + rows - 1) / rows, [&](size_t part, size_t) {
    context.CheckAbort();
    const size_t at = part * rows, some = std::min(rows, count - at);
    float* const to = table + at * head.cols;
    if (spec.sample.empty()) return LoadStored(spec, head, first + at, some, to);
    for (size_t i = 0; i < some; ++i) {
      const auto row = static_cast<size_t>(spec.sample[first + at + i]);
      LoadStored(spec, head, row, 1, to + i * head.cols);
    }
  });
}

void ForVocabularyTiles(
    Context& context, const EndsSpec& spec,
    const std::function<void(size_t first, size_t count, const float* table)>& visit) {
  auto table = context.Allocate<float>(TileOf(ShapeOf(spec)));
  for (size_t first = 0; first < spec.vocab; first += kVocabularyTile) {
    const size_t count = std::min(kVocabularyTile, spec.vocab - first);
    LoadVocabulary(context, spec, first, count, table.data());
    visit(first, count, table.data());
  }
}

Needs VocabularyTileNeeds(const EndsShape& ends) { return HeldFloats(TileOf(ends)); }

void LogitsOf(const EndsSpec& spec, size_t rows, const float* inputs, size_t columns,
              const float* table, float* out, size_t stride) {
  const size_t width = spec.embedding_width;
  Gemm(Trans::kNo, Trans::kYes, rows, columns, width, 1.0f, inputs, width, table, width, 0.0f, out,
       stride);
  for (size_t i = 0; i < rows; ++i) SoftCap(spec.logit_cap, columns, out + i * stride);
}

double HeadFlops(const EndsShape& ends, size_t tokens) {
  return 2.0 * static_cast<double>(ends.vocab * ends.embedding_width) * static_cast<double>(tokens);
}

void Logits(Context& context, const EndsSpec& spec, PagedMatrix& hidden, size_t row, size_t count,
            float* out) {
  const size_t width = spec.embedding_width;
  const HeadInput head(context, spec);
  auto inputs = context.Allocate<float>(count * width);
  auto scratch = context.Allocate<float>(context.pool.size() * kHeadChunk * spec.hidden);
  head.Read(context, hidden, row, count, scratch.data(), inputs.data());
  ForVocabularyTiles(context, spec, [&](size_t tile, size_t rows, const float* table) {
    LogitsOf(spec, count, inputs.data(), rows, table, out + tile, spec.vocab);
  });
}

}  // namespace struprune
