#include "model/tensor_source.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "ops/codec.h"
#include "ops/finite.h"

namespace struprune {
namespace {

// Bytes of a tensor that are in memory as they are stored.
constexpr size_t kPieceBytes = size_t{128} << 10;

// The stored position of Hugging Face's row (or element) `row` when heads are interleaved.
size_t StoredIndex(size_t row, size_t total, size_t heads) {
  if (heads == 0) return row;
  const size_t head_dim = total / heads;
  const size_t within = row % head_dim;
  const size_t half = within / (head_dim / 2);
  return row - within + 2 * (within % (head_dim / 2)) + half;
}

void CheckFinite(const TensorSource& source, const float* values, size_t count) {
  if (AllFinite(values, count)) return;
  throw Error(
      "ERR_NAN",
      "tensor " + source.name + " in " + source.file->path() + " holds values that are not finite",
      "the checkpoint is damaged or was saved from a run that diverged: get it again");
}

void ReadInPieces(const TensorSource& source, size_t row, size_t count, size_t row_bytes,
                  float* out) {
  const size_t most = std::clamp<size_t>(kPieceBytes / row_bytes, 1, count);
  std::vector<std::byte> bytes(most * row_bytes);
  for (size_t done = 0; done < count; done += most) {
    const size_t rows = std::min(most, count - done);
    source.file->Read(source.offset + (row + done) * row_bytes, {bytes.data(), rows * row_bytes});
    Dequantise(source.dtype, bytes.data(), rows * source.cols, out + done * source.cols);
  }
}

}  // namespace

size_t RowBytes(const TensorSource& source) {
  const DtypeLayout layout = LayoutOf(source.dtype);
  return source.cols / layout.elements * layout.bytes;
}

size_t ScaleRowBytes(const TensorSource& source) {
  const BlockScales& scales = *source.scales;
  const size_t blocks = (source.cols + scales.block_cols - 1) / scales.block_cols;
  return blocks * LayoutOf(scales.dtype).bytes;
}

void CopyRow(const TensorSource& source, size_t row, std::span<std::byte> out) {
  const size_t place = StoredIndex(row, source.rows, source.rope_heads);
  source.file->Read(source.offset + PlaceOf(source, place) * out.size(), out);
}

namespace {

// Single values [row, row + count) of a column, or of a vector, with others between them.
class Steps {
 public:
  Steps(const TensorSource& source, size_t row, size_t count)
      : source_(source),
        row_(row),
        count_(count),
        span_(PlaceOf(source, row + count - 1) - PlaceOf(source, row) + 1),
        bytes_(span_ * LayoutOf(source.dtype).bytes),
        values_(span_) {}
  // Of the column whose first one is the stored one at `first`: to[i * stride].
  void Read(size_t first, float* to, size_t stride) {
    const size_t begin = PlaceOf(source_, row_);
    source_.file->Read(source_.offset + (first + begin) * LayoutOf(source_.dtype).bytes, bytes_);
    Dequantise(source_.dtype, bytes_.data(), span_, values_.data());
    for (size_t i = 0; i < count_; ++i) {
      to[i * stride] = values_[PlaceOf(source_, row_ + i) - begin];
    }
  }

 private:
  const TensorSource& source_;
  const size_t row_, count_, span_;
  std::vector<std::byte> bytes_;
  std::vector<float> values_;
};

// Rows of a matrix that is stored transposed.
void ReadColumns(const TensorSource& source, size_t row, size_t count, float* out) {
  Steps steps(source, row, count);
  for (size_t j = 0; j < source.cols; ++j) {
    steps.Read(j * source.stored_columns, out + j, source.cols);
  }
}

// Rows [row, row + count) of a matrix whose blocks have scales.
void ScaleBlocks(const TensorSource& source, size_t row, size_t count, float* values) {
  const BlockScales& scales = *source.scales;
  std::vector<std::byte> bytes(ScaleRowBytes(source));
  const size_t cols = bytes.size() / LayoutOf(scales.dtype).bytes;
  std::vector<float> factors(cols);
  size_t last = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t block = (scales.row + PlaceOf(source, row + i)) / scales.block_rows;
    if (i == 0 || block != last) {
      scales.file->Read(scales.offset + block * bytes.size(), bytes);
      Dequantise(scales.dtype, bytes.data(), cols, factors.data());
      last = block;
    }
    float* const to = values + i * source.cols;
    for (size_t j = 0; j < source.cols; ++j) to[j] *= factors[j / scales.block_cols];
  }
}

// Where rows trade places in the file, or are not one after the other.
void ReadRowByRow(const TensorSource& source, size_t row, size_t count, float* out) {
  std::vector<std::byte> bytes(RowBytes(source));
  for (size_t i = 0; i < count; ++i) {
    CopyRow(source, row + i, bytes);
    Dequantise(source.dtype, bytes.data(), source.cols, out + i * source.cols);
  }
}

}  // namespace

void LoadRows(const TensorSource& source, size_t row, size_t count, float* out) {
  const size_t row_bytes = RowBytes(source);
  if (count * source.cols == 0) return;
  if (source.rows == 1 && source.step > 1) {
    Steps(source, 0, source.cols).Read(0, out, 1);
  } else if (source.rows == 1) {
    ReadInPieces(source, row, count, row_bytes, out);
    if (source.rope_heads != 0) {
      const std::vector<float> stored(out, out + source.cols);
      for (size_t i = 0; i < source.cols; ++i) {
        out[i] = stored[StoredIndex(i, source.cols, source.rope_heads)];
      }
    }
  } else if (source.stored_columns != 0) {
    ReadColumns(source, row, count, out);
  } else if (source.rope_heads == 0 && source.step == 1) {
    ReadInPieces(source, row, count, row_bytes, out);
  } else {
    ReadRowByRow(source, row, count, out);
  }
  if (source.scales) ScaleBlocks(source, row, count, out);
  Apply(source.scaling, {out, count * source.cols});
  CheckFinite(source, out, count * source.cols);
}

void Apply(Scaling scaling, std::span<float> values) {
  if (scaling.plain()) return;
  for (float& value : values) {
    value = scaling.as_rate ? std::log(-value) : value * scaling.times + scaling.plus;
  }
}

void Undo(Scaling scaling, std::span<float> values) {
  // Nothing taken away, zeros keep their signs.
  if (scaling.plain()) return;
  for (float& value : values) {
    value = scaling.as_rate ? -std::exp(value) : (value - scaling.plus) / scaling.times;
  }
}

void RoundTo(Dtype dtype, size_t rows, size_t cols, float* values, Scaling scaling) {
  if (dtype == Dtype::F32) return;
  const DtypeLayout layout = LayoutOf(dtype);
  std::vector<std::byte> row(cols / layout.elements * layout.bytes);
  for (size_t i = 0; i < rows; ++i) {
    const std::span<float> at(values + i * cols, cols);
    Undo(scaling, at);
    Encode(dtype, at.data(), cols, row.data());
    Dequantise(dtype, row.data(), cols, at.data());
    Apply(scaling, at);
  }
}

}  // namespace struprune
