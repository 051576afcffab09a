#include "model/block.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>

#include "core/error.h"
#include "core/row_chunks.h"
#include "ops/codec.h"
#include "ops/gemm.h"
#include "tiles/strips.h"

namespace struprune {

Needs BlockNeeds(const BlockSpec& spec, std::span<const TensorId> tensors, bool paged) {
  size_t vectors = 0, matrices = 0, strip = 0;
  for (const TensorId id : tensors) {
    const auto [rows, cols] = ShapeOf(spec, id);
    if (IsVector(id.part)) {
      vectors += cols;
      continue;
    }
    matrices += rows * cols;
    strip = std::max(strip, LargestStrip(rows, cols));
  }
  const size_t at_hand = kStripsAtHand * strip;
  return HeldFloats(vectors) + Pages(matrices * sizeof(float), at_hand * sizeof(float), paged);
}

Needs EncodeNeeds(const BlockSpec& spec, std::span<const TensorId> tensors, size_t bytes) {
  size_t most = 0;
  for (const TensorId id : tensors) {
    if (IsVector(id.part)) continue;
    const auto [rows, cols] = ShapeOf(spec, id);
    const size_t row = cols * sizeof(float);
    // Whole heads are read at either end.
    const AttentionSpec* const attention = spec.sublayers[id.sublayer].attention();
    const size_t ends = attention ? 2 * attention->head_dim * row : 0;
    most = std::max(most, std::min(rows * row, bytes + ends));
  }
  return Held(most);
}

Block::Block(std::shared_ptr<Context> context, std::shared_ptr<PageStore> store, BlockSpec spec,
             const BlockSources& sources, const Stored& stored, StripSize strip)
    : context_(std::move(context)),
      store_(std::move(store)),
      spec_(std::move(spec)),
      stored_(stored),
      strip_(strip),
      tensors_(spec_.sublayers.size()) {
  for (size_t i = 0; i < sublayers(); ++i) {
    for (size_t p = 0; p < kParts; ++p) {
      const TensorId id{i, static_cast<Part>(p)};
      const bool due = ShapeOf(spec_.sublayers[i], spec_.hidden, id.part).has_value();
      const bool given = i < sources.size() && sources[i][p].has_value();
      if (given != due && !(due && IsBias(id.part))) {
        throw Error("ERR_CHECKPOINT",
                    NameOf(spec_, id) + (due ? " is missing" : " has no place in this block"),
                    "the checkpoint's config does not describe its weights");
      }
      if (given) Load(id, *sources[i][p]);
    }
  }
}

std::unique_ptr<PagedMatrix> Block::MakeMatrix(size_t rows, size_t cols) const {
  const TileAxis strips(rows, strip_.Longest(cols));
  return std::make_unique<PagedMatrix>(store_, rows, cols, strips.side());
}

namespace {

// Rows of a strip that are decoded or rounded in one go.
constexpr size_t kRowsAtOnce = 64;

// Shares a strip's rows out over the pool, so many at once at most: work(first, count).
template <typename Work>
void ForRows(Context& context, size_t rows, size_t most, Work work) {
  const size_t share = (rows + context.pool.size() - 1) / context.pool.size();
  const size_t some = std::clamp<size_t>(share, 1, most);
  context.pool.ParallelFor((rows + some - 1) / some, [&](size_t i, size_t) {
    context.CheckAbort();
    work(i * some, std::min(some, rows - i * some));
  });
}

// Whether values come as they are decoded, each by itself: rounded to their own type they stay.
bool AreAsStored(const TensorSource& source) {
  return LayoutOf(source.dtype).elements == 1 && !source.scales && source.scaling.plain();
}

}  // namespace

void Block::Load(TensorId id, const TensorSource& source) {
  const auto [rows, cols] = PartShape{source.rows, source.cols};
  if (IsVector(id.part)) {
    auto vector = context_->Allocate<float>(rows * cols);
    At(id).shape = {rows, cols};
    CheckShape(id);
    LoadRows(source, 0, rows, vector.data());
    Put(id, std::move(vector));
    Round(id);
    return;
  }
  At(id).shape = {rows, cols};
  CheckShape(id);
  Put(id, MakeMatrix(rows, cols));
  if (source.stored_columns == 0 && StaysAsSource(id, source.dtype)) {
    std::vector<int32_t> all(rows);
    std::iota(all.begin(), all.end(), 0);
    At(id).origin = {source, std::move(all)};
  }
  if (rows * cols == 0) return;
  const bool rounds = id.part != Part::kOut && !At(id).origin &&
                      !(source.dtype == StoredAs(id.part) && AreAsStored(source));
  FillStrips(*context_, *At(id).matrix, [&, cols = cols](size_t row, size_t count, float* values) {
    // A row of columns is a piece of each row of the file: the longer the fewer reads.
    const size_t most = source.stored_columns == 0 ? kRowsAtOnce : count;
    ForRows(*context_, count, most, [&](size_t first, size_t some) {
      float* const to = values + first * cols;
      LoadRows(source, row + first, some, to);
      if (rounds) RoundTo(StoredAs(id.part), some, cols, to);
    });
  });
}

void Block::Put(TensorId id, Buffer<float> vector) {
  At(id).shape = {1, vector.size()};
  At(id).vector = std::move(vector);
}

void Block::Put(TensorId id, std::unique_ptr<PagedMatrix> matrix) {
  At(id).shape = {matrix->rows(), matrix->cols()};
  At(id).matrix = std::move(matrix);
}

void Block::CheckShape(TensorId id) const {
  const auto [rows, cols] = shape(id);
  const auto [want_rows, want_cols] = *ShapeOf(spec_.sublayers[id.sublayer], spec_.hidden, id.part);
  if (rows == want_rows && cols == want_cols) return;
  throw Error("ERR_CHECKPOINT",
              NameOf(spec_, id) + " has shape [" + std::to_string(rows) + ", " +
                  std::to_string(cols) + "], expected [" + std::to_string(want_rows) + ", " +
                  std::to_string(want_cols) + "]",
              "the checkpoint's config does not describe its weights");
}

void Block::Round(TensorId id) {
  if (!has(id)) return;
  if (IsVector(id.part)) {
    Buffer<float>& vector = At(id).vector;
    RoundTo(StoredAs(id.part), 1, vector.size(), vector.data(), ScalingOf(id.part));
    return;
  }
  if (StoredAs(id.part) == Dtype::F32 || At(id).origin) return;
  const auto [rows, cols] = shape(id);
  if (rows * cols == 0) return;
  UpdateStrips(*context_, *At(id).matrix, [&, cols = cols](size_t, size_t count, float* values) {
    ForRows(*context_, count, kRowsAtOnce, [&](size_t first, size_t some) {
      RoundTo(StoredAs(id.part), some, cols, values + first * cols, ScalingOf(id.part));
    });
  });
}

void Block::Slice(TensorId id, int axis, std::span<const int32_t> indices) {
  if (!has(id)) return;
  const auto [rows, cols] = shape(id);
  const size_t limit = IsVector(id.part) || axis == 1 ? cols : rows;
  for (const int32_t index : indices) {
    if (index < 0 || static_cast<size_t>(index) >= limit) {
      throw Error("ERR_ARGUMENT", "slice index outside the tensor");
    }
  }
  if (IsVector(id.part)) {
    Put(id, SliceVector(id, indices));
  } else {
    Put(id, SliceMatrix(id, axis, indices));
    std::optional<Origin>& origin = At(id).origin;
    if (axis == 1) origin.reset();
    if (!origin) return;
    std::vector<int32_t> rows;
    for (const int32_t index : indices) rows.push_back(origin->rows[index]);
    origin->rows = std::move(rows);
  }
}

Buffer<float> Block::SliceVector(TensorId id, std::span<const int32_t> indices) const {
  auto next = context_->Allocate<float>(indices.size());
  for (size_t j = 0; j < indices.size(); ++j) next[j] = vector(id)[indices[j]];
  return next;
}

std::unique_ptr<PagedMatrix> Block::SliceMatrix(TensorId id, int axis,
                                                std::span<const int32_t> indices) const {
  const auto [rows, cols] = shape(id);
  auto next = axis == 1 ? MakeMatrix(rows, indices.size()) : MakeMatrix(indices.size(), cols);
  if (next->rows() * next->cols() == 0) return next;
  RowReader old(*matrix(id));
  for (size_t row = 0; row < next->rows(); row += next->page_rows()) {
    context_->CheckAbort();
    const size_t count = next->Run(row, next->page_rows());
    const PagedMatrix::View strip(*next, row, count, PagedMatrix::Access::kWrite);
    for (size_t i = 0; i < count; ++i) {
      float* to = strip.data() + i * next->cols();
      if (axis == 1) {
        const float* from = old.Row(row + i);
        for (size_t j = 0; j < indices.size(); ++j) to[j] = from[indices[j]];
      } else {
        std::copy_n(old.Row(static_cast<size_t>(indices[row + i])), cols, to);
      }
    }
  }
  return next;
}

void Block::SetOutput(size_t sublayer, const TileMatrix<float>& weight,
                      std::span<const float> bias) {
  const size_t rows = weight.rows().size(), cols = weight.cols().size();
  if (rows != spec_.hidden) throw Error("ERR_ARGUMENT", "an output map has one row a hidden unit");
  auto next = MakeMatrix(rows, cols);
  ToStrips(weight, *next);
  const TensorId out{sublayer, Part::kOut};
  Put(out, std::move(next));
  At(out).origin.reset();
  if (!bias.empty()) SetBias(sublayer, bias);
}

void Block::SetBias(size_t sublayer, std::span<const float> bias) {
  auto vector = context_->Allocate<float>(bias.size());
  std::copy(bias.begin(), bias.end(), vector.data());
  Put({sublayer, Part::kOutBias}, std::move(vector));
}

void Block::Replace(TensorId id, const std::function<void(size_t, size_t, float*)>& fill) {
  FillStrips(*context_, *matrix(id), fill);
  At(id).origin.reset();
  Round(id);
}

void Block::Replace(TensorId id, std::span<const float> values) {
  Buffer<float>& to = At(id).vector;
  if (values.size() != to.size()) {
    throw Error("ERR_ARGUMENT", "the new values have another shape than the tensor");
  }
  std::ranges::copy(values, to.data());
  Round(id);
}

void Block::Scale(TensorId id, std::span<const float> factors) {
  if (!has(id) || factors.size() != shape(id).cols) {
    throw Error("ERR_ARGUMENT", "a tensor is scaled by one factor a column");
  }
  if (IsVector(id.part)) {
    Buffer<float>& vector = At(id).vector;
    for (size_t j = 0; j < factors.size(); ++j) vector[j] *= factors[j];
  } else {
    UpdateStrips(*context_, *matrix(id), [&](size_t, size_t count, float* values) {
      for (size_t i = 0; i < count; ++i) {
        float* to = values + i * factors.size();
        for (size_t j = 0; j < factors.size(); ++j) to[j] *= factors[j];
      }
    });
    At(id).origin.reset();
  }
  Round(id);
}

void Block::AddProduct(TensorId id, size_t rank, std::span<const float> left,
                       std::span<const float> right) {
  PagedMatrix* const weight = matrix(id);
  if (!weight || rank == 0 || left.size() != weight->rows() * rank ||
      right.size() != rank * weight->cols()) {
    throw Error("ERR_ARGUMENT", "a matrix gets a product of its own rows and columns");
  }
  const size_t cols = weight->cols();
  UpdateStrips(*context_, *weight, [&](size_t row, size_t count, float* values) {
    ForPieces(*context_, count, [&](size_t first, size_t some) {
      Gemm(Trans::kNo, Trans::kNo, some, cols, rank, 1.0f, left.data() + (row + first) * rank, rank,
           right.data(), cols, 1.0f, values + first * cols, cols);
    });
  });
  At(id).origin.reset();
  Round(id);
}

void Block::Resize(size_t sublayer, size_t width) {
  spec_.sublayers[sublayer].Resize(width);
  for (size_t p = 0; p < kParts; ++p) {
    const TensorId id{sublayer, static_cast<Part>(p)};
    if (has(id)) CheckShape(id);
  }
}

void Block::KeepExperts(size_t sublayer, std::span<const int32_t> indices) {
  const ExpertsSpec* const experts = spec_.sublayers[sublayer].experts();
  if (!experts || indices.size() < experts->top_k ||
      std::ranges::adjacent_find(indices, std::greater_equal()) != indices.end()) {
    throw Error("ERR_ARGUMENT", "as many experts stay as a token passes, at least, ascending");
  }
  Slice({sublayer, Part::kRouter}, 0, indices);
  Slice({sublayer, Part::kRouterBias}, 0, indices);
  Slice({sublayer, Part::kChoiceBias}, 0, indices);
  const auto [first, end] = spec_.Inside(sublayer);
  std::vector<std::array<Tensor, kParts>> kept;
  for (const int32_t index : indices) {
    kept.push_back(std::move(tensors_[first + static_cast<size_t>(index)]));
  }
  if (experts->shared) kept.push_back(std::move(tensors_[end - 1]));
  std::get<ExpertsSpec>(spec_.sublayers[sublayer].mixer).count = indices.size();
  auto inside = InsideOf(spec_.sublayers[sublayer]);
  const auto replace = [first, end](auto& all, auto& some) {
    const auto at = static_cast<std::ptrdiff_t>(first);
    all.erase(all.begin() + at, all.begin() + static_cast<std::ptrdiff_t>(end));
    all.insert(all.begin() + at, std::move_iterator(some.begin()), std::move_iterator(some.end()));
  };
  replace(tensors_, kept);
  replace(spec_.sublayers, inside);
}

void Block::Finish(size_t sublayer) {
  Round({sublayer, Part::kOut});
  Round({sublayer, Part::kOutBias});
  const auto [first, end] = spec_.Inside(sublayer);
  for (size_t i = first; i < end; ++i) Finish(i);
}

bool Block::StaysAsSource(TensorId id, Dtype dtype) const {
  if (std::ranges::find(stored_.as_source, NameOf(spec_, id)) != stored_.as_source.end())
    return true;
  // Of gate and up a refit may try others and come back to the rounded ones; o and down it only
  // ever replaces. Values that share no scale are encoded to the same bytes without the file.
  return id.part == Part::kOut &&
         (dtype == Dtype::F4_E2M1 ? Dtype::MXFP4 : dtype) == stored_.matrices &&
         LayoutOf(dtype).elements > 1;
}

namespace {

// The row in halves that stands at place `row` where every head's halves are interleaved.
size_t RowAt(size_t row, size_t head_dim) {
  // Stored 2 i + half is row half * head_dim / 2 + i.
  const size_t within = row % head_dim;
  return row - within + within % 2 * (head_dim / 2) + within / 2;
}

}  // namespace

std::vector<std::byte> Block::CopyRows(const Origin& origin, size_t row, size_t count,
                                       size_t rope_heads) {
  const auto& [tensor, rows] = origin;
  const size_t row_bytes = RowBytes(tensor);
  std::vector<std::byte> bytes(count * row_bytes);
  for (size_t i = 0; i < count; ++i) {
    const size_t at = rope_heads ? RowAt(row + i, rows.size() / rope_heads) : row + i;
    CopyRow(tensor, static_cast<size_t>(rows[at]),
            std::span(bytes).subspan(i * row_bytes, row_bytes));
  }
  return bytes;
}

std::vector<std::byte> Block::CopyScales(const Origin& origin, size_t row, size_t count) {
  const BlockScales& scales = *origin.tensor.scales;
  const size_t row_bytes = ScaleRowBytes(origin.tensor);
  std::vector<std::byte> bytes(count * row_bytes);
  for (size_t i = 0; i < count; ++i) {
    const size_t at =
        scales.row + PlaceOf(origin.tensor, static_cast<size_t>(origin.rows[row + i]));
    scales.file->Read(scales.offset + at * row_bytes,
                      std::span(bytes).subspan(i * row_bytes, row_bytes));
  }
  return bytes;
}

std::vector<std::byte> EncodeRows(const float* values, size_t rows, size_t cols, Dtype dtype,
                                  size_t row, size_t count, size_t rope_heads,
                                  const std::string& name) {
  const DtypeLayout layout = LayoutOf(dtype);
  if (cols % layout.elements != 0) {
    throw Error("ERR_UNSUPPORTED",
                name + " has rows of " + std::to_string(cols) + ", " + std::string(NameOf(dtype)) +
                    " needs a multiple of " + std::to_string(layout.elements),
                "choose another --dtype or a rounding that fits");
  }
  const size_t row_bytes = cols / layout.elements * layout.bytes;
  std::vector<std::byte> bytes(count * row_bytes);
  const size_t head_dim = rope_heads ? rows / rope_heads : 1;
  for (size_t i = 0; i < count; ++i) {
    const size_t from = rope_heads ? RowAt(row + i, head_dim) : row + i;
    const size_t bad =
        struprune::Encode(dtype, values + from * cols, cols, bytes.data() + i * row_bytes);
    if (bad != 0) {
      throw Error("ERR_NAN", name + " holds values that " + std::string(NameOf(dtype)) + " cannot",
                  "choose --dtype bf16 or f32");
    }
  }
  return bytes;
}

std::vector<std::byte> EncodeRows(Context& context, const TensorSource& source, Dtype dtype,
                                  size_t row, size_t count) {
  auto values = context.Allocate<float>(count * source.cols);
  LoadRows(source, row, count, values.data());
  if (source.rows == 1 || source.dtype != dtype || source.step != 1) {
    return EncodeRows(values.data(), count, source.cols, dtype, 0, count, 0, source.name);
  }
  // Its very bytes, now that they are known to be numbers.
  const size_t row_bytes = RowBytes(source);
  std::vector<std::byte> bytes(count * row_bytes);
  source.file->Read(source.offset + row * row_bytes, bytes);
  return bytes;
}

std::vector<std::byte> Block::Encode(TensorId id, Dtype dtype, size_t row, size_t count,
                                     size_t rope_heads) const {
  const auto [rows, cols] = shape(id);
  const std::string name = NameOf(spec_, id);
  if (rope_heads && (IsVector(id.part) ? cols : rows) % rope_heads != 0) {
    throw Error("ERR_ARGUMENT", name + " does not hold that many heads");
  }
  if (row + count > (IsVector(id.part) ? cols : rows)) {
    throw Error("ERR_ARGUMENT", "rows outside " + name);
  }
  if (IsVector(id.part)) {
    // A vector's elements are rows of one column each, so that its heads can be interleaved too.
    std::vector<float> values(vector(id).begin(), vector(id).end());
    Undo(ScalingOf(id.part), values);
    return EncodeRows(values.data(), cols, 1, dtype, row, count, rope_heads, name);
  }
  const std::optional<Origin>& origin = At(id).origin;
  if (origin && dtype == origin->tensor.dtype) {
    return CopyRows(*origin, row, count, rope_heads);
  }
  if (origin && origin->tensor.scales && origin->tensor.scales->block_rows == 1 &&
      dtype == origin->tensor.scales->dtype) {
    return CopyScales(*origin, row, count);
  }
  // Rows trade places within their head: whole heads are read.
  const size_t unit = rope_heads ? rows / rope_heads : 1;
  const size_t begin = row / unit * unit, end = (row + count + unit - 1) / unit * unit;
  auto values = context_->Allocate<float>((end - begin) * cols);
  if (cols > 0) matrix(id)->Read(begin, end - begin, values.data());
  Undo(ScalingOf(id.part), values.span());
  const bool apart = dtype == Dtype::F4_E2M1 || dtype == Dtype::F8_E8M0;
  auto bytes = EncodeRows(values.data(), end - begin, cols, apart ? Dtype::MXFP4 : dtype,
                          row - begin, count, rope_heads ? (end - begin) / unit : 0, name);
  if (!apart) return bytes;
  std::vector<std::byte> part(count * cols / (dtype == Dtype::F4_E2M1 ? 2 : 32));
  PartOfMXFP4(dtype, bytes, part.data());
  return part;
}

std::vector<std::byte> Block::EncodeColumns(TensorId id, Dtype dtype, size_t column,
                                            size_t count) const {
  const auto [rows, cols] = shape(id);
  const std::string name = NameOf(spec_, id);
  if (IsVector(id.part) || column + count > cols || LayoutOf(dtype).elements != 1) {
    throw Error("ERR_ARGUMENT", name + " has no such columns");
  }
  auto values = context_->Allocate<float>(count * rows);
  RowReader matrix_rows(*matrix(id));
  for (size_t i = 0; i < rows; ++i) {
    const float* const from = matrix_rows.Row(i) + column;
    for (size_t j = 0; j < count; ++j) values[j * rows + i] = from[j];
  }
  Undo(ScalingOf(id.part), values.span());
  return EncodeRows(values.data(), count, rows, dtype, 0, count, 0, name);
}

}  // namespace struprune
