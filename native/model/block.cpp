#include "model/block.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "ops/codec.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

size_t RowsOf(const BlockSpec& spec, Role role) {
  switch (role) {
    case Role::kQ:
    case Role::kQBias:
      return spec.heads * spec.head_dim;
    case Role::kK:
    case Role::kKBias:
    case Role::kV:
    case Role::kVBias:
      return spec.kv_heads * spec.head_dim;
    case Role::kQNorm:
    case Role::kKNorm:
      return spec.head_dim;
    case Role::kGate:
    case Role::kGateBias:
    case Role::kUp:
    case Role::kUpBias:
      return spec.ffn;
    default:
      return spec.hidden;
  }
}

size_t ColsOf(const BlockSpec& spec, Role role) {
  if (role == Role::kO) return spec.heads * spec.head_dim;
  if (role == Role::kDown) return spec.ffn;
  return spec.hidden;
}

}  // namespace

bool IsVector(Role role) {
  switch (role) {
    case Role::kQ:
    case Role::kK:
    case Role::kV:
    case Role::kO:
    case Role::kGate:
    case Role::kUp:
    case Role::kDown:
      return false;
    default:
      return true;
  }
}

Block::Block(std::shared_ptr<Context> context, std::shared_ptr<PageStore> store, BlockSpec spec,
             const std::array<std::optional<TensorSource>, kRoles>& sources, Stored stored,
             StripSize strip)
    : context_(std::move(context)),
      store_(std::move(store)),
      spec_(std::move(spec)),
      stored_(stored),
      strip_(strip) {
  for (size_t r = 0; r < kRoles; ++r) {
    if (sources[r]) Load(static_cast<Role>(r), *sources[r]);
  }
}

std::unique_ptr<PagedMatrix> Block::MakeMatrix(size_t rows, size_t cols) const {
  const size_t longest = std::max(strip_.rows, strip_.floats / std::max<size_t>(cols, 1));
  const TileAxis strips(rows, longest);
  return std::make_unique<PagedMatrix>(store_, rows, cols, strips.side());
}

void Block::Load(Role role, const TensorSource& source) {
  const auto [rows, cols] = Shape{source.rows, source.cols};
  if (IsVector(role)) {
    auto vector = context_->Allocate<float>(rows * cols);
    shapes_[Index(role)] = {rows, cols};
    CheckShape(role);
    LoadRows(source, 0, rows, vector.data());
    Put(role, std::move(vector));
    Round(role);
    return;
  }
  shapes_[Index(role)] = {rows, cols};
  CheckShape(role);
  Put(role, MakeMatrix(rows, cols));
  if (StaysAsSource(role, source.dtype)) {
    std::vector<int32_t> all(rows);
    std::iota(all.begin(), all.end(), 0);
    origins_[Index(role)] = {source, std::move(all)};
  }
  if (rows * cols == 0) return;
  PagedMatrix& matrix = *matrices_[Index(role)];
  const size_t strip = matrix.page_rows();
  context_->pool.ParallelFor((rows + strip - 1) / strip, [&, cols = cols](size_t i, size_t) {
    const size_t row = i * strip, count = matrix.Run(row, strip);
    const PagedMatrix::View to(matrix, row, count, PagedMatrix::Access::kWrite);
    constexpr size_t kRows = 64;
    for (size_t done = 0; done < count; done += kRows) {
      context_->CheckAbort();
      const size_t some = std::min(kRows, count - done);
      LoadRows(source, row + done, some, to.data() + done * cols);
      if (!IsOutput(role) && !origins_[Index(role)]) {
        RoundTo(stored_.matrices, some, cols, to.data() + done * cols);
      }
    }
  });
}

void Block::Put(Role role, Buffer<float> vector) {
  shapes_[Index(role)] = {1, vector.size()};
  vectors_[Index(role)] = std::move(vector);
}

void Block::Put(Role role, std::unique_ptr<PagedMatrix> matrix) {
  shapes_[Index(role)] = {matrix->rows(), matrix->cols()};
  matrices_[Index(role)] = std::move(matrix);
}

void Block::CheckShape(Role role) const {
  const auto [rows, cols] = shape(role);
  const size_t want_rows = IsVector(role) ? 1 : RowsOf(spec_, role);
  const size_t want_cols = IsVector(role) ? RowsOf(spec_, role) : ColsOf(spec_, role);
  if (rows == want_rows && cols == want_cols) return;
  throw Error("ERR_CHECKPOINT",
              std::string(kRoleNames[Index(role)]) + " has shape [" + std::to_string(rows) + ", " +
                  std::to_string(cols) + "], expected [" + std::to_string(want_rows) + ", " +
                  std::to_string(want_cols) + "]",
              "the checkpoint's config does not describe its weights");
}

void Block::Round(Role role) {
  if (!has(role)) return;
  if (IsVector(role)) {
    Buffer<float>& vector = vectors_[Index(role)];
    RoundTo(stored_.vectors, 1, vector.size(), vector.data());
    return;
  }
  if (stored_.matrices == Dtype::F32 || origins_[Index(role)]) return;
  const auto [rows, cols] = shape(role);
  if (rows * cols == 0) return;
  PagedMatrix& matrix = *matrices_[Index(role)];
  const size_t strip = matrix.page_rows();
  context_->pool.ParallelFor((rows + strip - 1) / strip, [&, cols = cols](size_t i, size_t) {
    context_->CheckAbort();
    const size_t count = matrix.Run(i * strip, strip);
    const PagedMatrix::View values(matrix, i * strip, count, PagedMatrix::Access::kUpdate);
    RoundTo(stored_.matrices, count, cols, values.data());
  });
}

void Block::Slice(Role role, int axis, std::span<const int32_t> indices) {
  if (!has(role)) return;
  const auto [rows, cols] = shape(role);
  const size_t limit = IsVector(role) || axis == 1 ? cols : rows;
  for (const int32_t index : indices) {
    if (index < 0 || static_cast<size_t>(index) >= limit) {
      throw Error("ERR_ARGUMENT", "slice index outside the tensor");
    }
  }
  if (IsVector(role)) {
    Put(role, SliceVector(role, indices));
  } else {
    Put(role, SliceMatrix(role, axis, indices));
    std::optional<Origin>& origin = origins_[Index(role)];
    if (axis == 1) origin.reset();
    if (!origin) return;
    std::vector<int32_t> rows;
    for (const int32_t index : indices) rows.push_back(origin->rows[index]);
    origin->rows = std::move(rows);
  }
}

Buffer<float> Block::SliceVector(Role role, std::span<const int32_t> indices) const {
  auto next = context_->Allocate<float>(indices.size());
  for (size_t j = 0; j < indices.size(); ++j) next[j] = vector(role)[indices[j]];
  return next;
}

std::unique_ptr<PagedMatrix> Block::SliceMatrix(Role role, int axis,
                                                std::span<const int32_t> indices) const {
  const auto [rows, cols] = shape(role);
  auto next = axis == 1 ? MakeMatrix(rows, indices.size()) : MakeMatrix(indices.size(), cols);
  if (next->rows() * next->cols() == 0) return next;
  RowReader old(*matrix(role));
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

void Block::SetOutput(SiteKind site, const TileMatrix<float>& weight, std::span<const float> bias) {
  const size_t rows = weight.rows().size(), cols = weight.cols().size();
  if (rows != spec_.hidden) throw Error("ERR_ARGUMENT", "an output map has one row a hidden unit");
  auto next = MakeMatrix(rows, cols);
  ToStrips(weight, *next);
  Put(OutputRole(site), std::move(next));
  origins_[Index(OutputRole(site))].reset();
  if (!bias.empty()) SetBias(site, bias);
}

void Block::SetBias(SiteKind site, std::span<const float> bias) {
  auto vector = context_->Allocate<float>(bias.size());
  std::copy(bias.begin(), bias.end(), vector.data());
  Put(OutputBiasRole(site), std::move(vector));
}

void Block::Replace(Role role, const std::function<void(size_t, size_t, float*)>& fill) {
  FillStrips(*context_, *matrix(role), fill);
  origins_[Index(role)].reset();
  Round(role);
}

void Block::Replace(Role role, std::span<const float> values) {
  Buffer<float>& to = vectors_[Index(role)];
  if (values.size() != to.size()) {
    throw Error("ERR_ARGUMENT", "the new values have another shape than the tensor");
  }
  std::ranges::copy(values, to.data());
  Round(role);
}

void Block::Scale(Role role, std::span<const float> factors) {
  if (!has(role) || factors.size() != shape(role).cols) {
    throw Error("ERR_ARGUMENT", "a tensor is scaled by one factor a column");
  }
  if (IsVector(role)) {
    Buffer<float>& vector = vectors_[Index(role)];
    for (size_t j = 0; j < factors.size(); ++j) vector[j] *= factors[j];
  } else {
    PagedMatrix& matrix = *matrices_[Index(role)];
    const size_t strip = matrix.page_rows();
    for (size_t row = 0; row < matrix.rows() && !factors.empty(); row += strip) {
      context_->CheckAbort();
      const size_t count = matrix.Run(row, strip);
      const PagedMatrix::View values(matrix, row, count, PagedMatrix::Access::kUpdate);
      for (size_t i = 0; i < count; ++i) {
        float* to = values.data() + i * factors.size();
        for (size_t j = 0; j < factors.size(); ++j) to[j] *= factors[j];
      }
    }
    origins_[Index(role)].reset();
  }
  Round(role);
}

void Block::SetWidths(size_t heads, size_t kv_heads, size_t ffn) {
  spec_.heads = heads;
  spec_.kv_heads = kv_heads;
  spec_.ffn = ffn;
  for (size_t r = 0; r < kRoles; ++r) {
    if (has(static_cast<Role>(r))) CheckShape(static_cast<Role>(r));
  }
}

void Block::Finish(SiteKind site) {
  Round(OutputRole(site));
  Round(OutputBiasRole(site));
}

bool Block::StaysAsSource(Role role, Dtype dtype) const {
  if (stored_.as_source >> Index(role) & 1) return true;
  // Of gate and up a refit may try others and come back to the rounded ones; o and down it only
  // ever replaces. Values that share no scale are encoded to the same bytes without the file.
  return IsOutput(role) && dtype == stored_.matrices && LayoutOf(dtype).elements > 1;
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

std::vector<std::byte> Block::Encode(Role role, Dtype dtype, size_t row, size_t count,
                                     size_t rope_heads) const {
  const auto [rows, cols] = shape(role);
  const std::string name(kRoleNames[Index(role)]);
  if (rope_heads && (IsVector(role) ? cols : rows) % rope_heads != 0) {
    throw Error("ERR_ARGUMENT", name + " does not hold that many heads");
  }
  if (row + count > (IsVector(role) ? cols : rows)) {
    throw Error("ERR_ARGUMENT", "rows outside " + name);
  }
  if (IsVector(role)) {
    // A vector's elements are rows of one column each, so that its heads can be interleaved too.
    return EncodeRows(data(role), cols, 1, dtype, row, count, rope_heads, name);
  }
  const std::optional<Origin>& origin = origins_[Index(role)];
  if (origin && dtype == origin->tensor.dtype) {
    return CopyRows(*origin, row, count, rope_heads);
  }
  // Rows trade places within their head: whole heads are read.
  const size_t unit = rope_heads ? rows / rope_heads : 1;
  const size_t begin = row / unit * unit, end = (row + count + unit - 1) / unit * unit;
  auto values = context_->Allocate<float>((end - begin) * cols);
  if (cols > 0) matrix(role)->Read(begin, end - begin, values.data());
  return EncodeRows(values.data(), end - begin, cols, dtype, row - begin, count,
                    rope_heads ? (end - begin) / unit : 0, name);
}

}  // namespace struprune
