// Where a stored matrix or vector lies in a checkpoint, and reading rows of it as floats.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/mapped_file.h"

namespace struprune {

// A value that computes is `times` the stored one `plus` something: Gemma's norms are stored less
// 1, what a block of Granite adds is stored without its multiplier. Or, `as_rate`, -e^value is
// stored: a delta rule's decay in GGUF.
struct Scaling {
  float times = 1, plus = 0;
  bool as_rate = false;
  bool plain() const { return times == 1 && plus == 0 && !as_rate; }
};
// values[...] of stored ones, and back.
void Apply(Scaling scaling, std::span<float> values);
void Undo(Scaling scaling, std::span<float> values);

// A matrix' values are the stored ones times these, one for each block of so many rows and columns.
struct BlockScales {
  std::shared_ptr<MappedFile> file;
  size_t offset = 0;
  Dtype dtype = Dtype::F32;  // a float
  size_t block_rows = 0, block_cols = 0;
  // That the matrix' first one has among those of the blocks, where a tensor's others lie between
  // them too.
  size_t row = 0;
};

struct TensorSource {
  std::string name;
  std::shared_ptr<MappedFile> file;
  size_t offset = 0;
  size_t bytes = 0;
  Dtype dtype = Dtype::F32;
  size_t rows = 0;  // out, or 1 for a vector
  size_t cols = 0;  // in, or the vector's length
  // GGUF stores the rows of llama's q and k with the two rope halves interleaved; this many heads
  // are put back into halves, 0 = stored as is. For a vector (a bias) its elements are meant.
  size_t rope_heads = 0;
  // The matrix is stored transposed, in rows of so many entries, of which `rows` from `offset` on
  // are its first column; 0 = stored as is.
  size_t stored_columns = 0;
  // Of every `step` stored rows, or entries of a vector, the first `run` are its own: those between
  // are other tensors'.
  size_t step = 1, run = 1;
  std::optional<BlockScales> scales = {};
  Scaling scaling = {};
};

// What the output file will hold: GGUF has vectors in F32, whatever its matrices are.
struct Stored {
  Dtype matrices = Dtype::F32;
  Dtype vectors = Dtype::F32;  // what routes tokens to experts too
  // Names of a block's matrices that have the source's own type instead of `matrices`.
  std::vector<std::string> as_source = {};
  // What the weights of norms are stored less.
  float norm_offset = 0;
  // Output maps and their biases, and the final norm's weight, are stored divided by these.
  float output_scale = 1, final_norm_scale = 1;
  // Decays of delta rules are stored as -e^value.
  bool decay_as_rate = false;
};

// Reads rows [row, row + count) into out[count, cols], in Hugging Face's order. Throws ERR_NAN when
// a value is not finite.
void LoadRows(const TensorSource& source, size_t row, size_t count, float* out);

// How many rows of the file lie between its first one and that one.
inline size_t PlaceOf(const TensorSource& source, size_t row) {
  return row / source.run * source.step + row % source.run;
}
// Bytes of a row as it is stored, and of a row of its scales.
size_t RowBytes(const TensorSource& source);
size_t ScaleRowBytes(const TensorSource& source);
// Copies such a row of a matrix, by its place in Hugging Face's order.
void CopyRow(const TensorSource& source, size_t row, std::span<std::byte> out);

// Rounds values[rows, cols], which are stored so, to what the dtype can hold (Q8_0 in blocks along
// cols); F32 leaves them.
void RoundTo(Dtype dtype, size_t rows, size_t cols, float* values, Scaling scaling = {});

}  // namespace struprune
