#include "model/block.h"

#include <algorithm>

#include "core/error.h"
#include "ops/codec.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

constexpr size_t kLoadRows = 64;

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

size_t ExpectedRows(const BlockSpec& spec, Role role) {
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

size_t ExpectedCols(const BlockSpec& spec, Role role) {
  if (role == Role::kO) return spec.heads * spec.head_dim;
  if (role == Role::kDown) return spec.ffn;
  return spec.hidden;
}

void CheckShape(const BlockSpec& spec, Role role, const Matrix& matrix) {
  const size_t rows = IsVector(role) ? 1 : ExpectedRows(spec, role);
  const size_t cols = IsVector(role) ? ExpectedRows(spec, role) : ExpectedCols(spec, role);
  if (matrix.rows != rows || matrix.cols != cols) {
    throw Error("ERR_CHECKPOINT",
                std::string(kRoleNames[static_cast<size_t>(role)]) + " has shape [" +
                    std::to_string(matrix.rows) + ", " + std::to_string(matrix.cols) +
                    "], expected [" + std::to_string(rows) + ", " + std::to_string(cols) + "]",
                "the checkpoint's config does not describe its weights");
  }
}

}  // namespace

Block::Block(std::shared_ptr<Context> context, BlockSpec spec,
             const std::array<std::optional<TensorSource>, kRoles>& sources, Dtype stored)
    : context_(std::move(context)), spec_(std::move(spec)), stored_(stored) {
  struct Part {
    Role role;
    size_t row, count;
  };
  std::vector<Part> parts;
  for (size_t r = 0; r < kRoles; ++r) {
    if (!sources[r]) continue;
    Matrix& matrix = weights_[r];
    matrix.rows = sources[r]->rows;
    matrix.cols = sources[r]->cols;
    CheckShape(spec_, static_cast<Role>(r), matrix);
    matrix.values = context_->Allocate<float>(matrix.rows * matrix.cols);
    for (size_t row = 0; row < matrix.rows; row += kLoadRows) {
      parts.push_back({static_cast<Role>(r), row, std::min(kLoadRows, matrix.rows - row)});
    }
  }
  context_->pool.ParallelFor(parts.size(), [&](size_t i, size_t) {
    context_->CheckAbort();
    const auto [role, row, count] = parts[i];
    Matrix& matrix = mutable_matrix(role);
    float* to = matrix.values.data() + row * matrix.cols;
    LoadRows(*sources[Index(role)], row, count, to);
    if (!IsVector(role) && role != Role::kO && role != Role::kDown) {
      RoundTo(stored_, count, matrix.cols, to);
    }
  });
  for (size_t r = 0; r < kRoles; ++r) {
    if (IsVector(static_cast<Role>(r))) Round(static_cast<Role>(r));
  }
}

// Vectors stay F32 where matrices are quantised, and F16 or BF16 with them.
void Block::Round(Role role) {
  if (!has(role)) return;
  Matrix& matrix = mutable_matrix(role);
  if (IsVector(role) && stored_ == Dtype::Q8_0) return;
  context_->pool.ParallelFor((matrix.rows + kLoadRows - 1) / kLoadRows, [&](size_t i, size_t) {
    const size_t row = i * kLoadRows;
    RoundTo(stored_, std::min(kLoadRows, matrix.rows - row), matrix.cols,
            matrix.values.data() + row * matrix.cols);
  });
}

void Block::Slice(Role role, int axis, std::span<const int32_t> indices) {
  if (!has(role)) return;
  const Matrix& old = matrix(role);
  const bool columns = IsVector(role) || axis == 1;
  const size_t limit = columns ? old.cols : old.rows;
  for (const int32_t index : indices) {
    if (index < 0 || static_cast<size_t>(index) >= limit) {
      throw Error("ERR_ARGUMENT", "slice index outside the tensor");
    }
  }
  Matrix next;
  next.rows = columns ? old.rows : indices.size();
  next.cols = columns ? indices.size() : old.cols;
  next.values = context_->Allocate<float>(next.rows * next.cols);
  for (size_t i = 0; i < next.rows; ++i) {
    float* to = next.values.data() + i * next.cols;
    if (columns) {
      const float* from = old.values.data() + i * old.cols;
      for (size_t j = 0; j < next.cols; ++j) to[j] = from[indices[j]];
    } else {
      std::copy_n(old.values.data() + static_cast<size_t>(indices[i]) * old.cols, old.cols, to);
    }
  }
  mutable_matrix(role) = std::move(next);
}

void Block::SetOutput(SiteKind site, const TileMatrix<float>& weight, std::span<const float> bias) {
  const size_t rows = weight.rows().size(), cols = weight.cols().size();
  if (rows != spec_.hidden) throw Error("ERR_ARGUMENT", "an output map has one row a hidden unit");
  Matrix matrix{rows, cols, context_->Allocate<float>(rows * cols)};
  ReadRows(weight, 0, rows, matrix.values.data());
  mutable_matrix(OutputRole(site)) = std::move(matrix);
  if (!bias.empty()) SetBias(site, bias);
}

void Block::SetBias(SiteKind site, std::span<const float> bias) {
  Matrix matrix{1, bias.size(), context_->Allocate<float>(bias.size())};
  std::copy(bias.begin(), bias.end(), matrix.values.data());
  mutable_matrix(OutputBiasRole(site)) = std::move(matrix);
}

void Block::Replace(Role role, std::span<const float> values) {
  Matrix& matrix = mutable_matrix(role);
  if (values.size() != matrix.values.size()) {
    throw Error("ERR_ARGUMENT", "the new values have another shape than the tensor");
  }
  std::copy(values.begin(), values.end(), matrix.values.data());
  Round(role);
}

void Block::SetWidths(size_t heads, size_t kv_heads, size_t ffn) {
  spec_.heads = heads;
  spec_.kv_heads = kv_heads;
  spec_.ffn = ffn;
  for (size_t r = 0; r < kRoles; ++r) {
    if (has(static_cast<Role>(r))) CheckShape(spec_, static_cast<Role>(r), weights_[r]);
  }
}

void Block::Finish(SiteKind site) {
  Round(OutputRole(site));
  Round(OutputBiasRole(site));
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
    size_t from = row + i;
    if (rope_heads) {
      // Stored order interleaves the halves: stored 2 i + half is row half * head_dim / 2 + i.
      const size_t within = from % head_dim;
      from = from - within + within % 2 * (head_dim / 2) + within / 2;
    }
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
  const Matrix& m = matrix(role);
  const std::string name(kRoleNames[Index(role)]);
  if (IsVector(role)) {
    // A vector's elements are rows of one column each, so that its heads can be interleaved too.
    return EncodeRows(m.values.data(), m.cols, 1, dtype, row, count, rope_heads, name);
  }
  return EncodeRows(m.values.data(), m.rows, m.cols, dtype, row, count, rope_heads, name);
}

}  // namespace struprune
