// One transformer block: its description and its weights as floats, the matrices by strips of a
// page store.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/needs.h"
#include "core/paged_matrix.h"
#include "model/sublayer.h"
#include "model/tensor_source.h"
#include "ops/strip_product.h"
#include "tiles/tile_matrix.h"

namespace struprune {

// Of a block with those tensors as long as it is loaded. `paged`: of matrices only the strips at
// hand are in memory.
Needs BlockNeeds(const BlockSpec& spec, std::span<const TensorId> tensors, bool paged);
// Of Block::Encode for any of those tensors, of rows with `bytes` as floats at a time.
Needs EncodeNeeds(const BlockSpec& spec, std::span<const TensorId> tensors, size_t bytes);

// Where a block's tensors lie in files, one entry a part of each sublayer.
using BlockSources = std::vector<std::array<std::optional<TensorSource>, kParts>>;

class Sublayer;

class Block {
 public:
  // Reads and dequantises every tensor of the block; biases without a source stay absent. Weights
  // other than output maps are rounded to `stored` at once, output maps when Finish is called,
  // unless the source has them in that very type. Matrices lie in the store. Throws ERR_CHECKPOINT
  // for tensors that are missing, of another shape, or without a place.
  Block(std::shared_ptr<Context> context, std::shared_ptr<PageStore> store, BlockSpec spec,
        const BlockSources& sources, const Stored& stored, StripSize strip = {});

  const BlockSpec& spec() const { return spec_; }
  size_t sublayers() const { return spec_.sublayers.size(); }
  Sublayer sublayer(size_t index) const;

  bool has(TensorId id) const { return At(id).shape.has_value(); }
  PartShape shape(TensorId id) const { return *At(id).shape; }
  // A vector [cols], null when absent.
  const float* data(TensorId id) const { return has(id) ? At(id).vector.data() : nullptr; }
  std::span<const float> vector(TensorId id) const { return At(id).vector.span(); }
  // A matrix [rows, cols], a page a strip; null when absent.
  PagedMatrix* matrix(TensorId id) const { return At(id).matrix.get(); }
  // EachStrip of one of its matrices.
  template <typename Visit>
  void EachStrip(TensorId id, Visit visit) const {
    struprune::EachStrip(*context_, *matrix(id), visit);
  }

  // Keeps the given rows (axis 0) or columns (axis 1) of a tensor, in the given order.
  void Slice(TensorId id, int axis, std::span<const int32_t> indices);
  // Replaces an output map by weight[hidden, n], and its bias[hidden] unless that is empty.
  void SetOutput(size_t sublayer, const TileMatrix<float>& weight, std::span<const float> bias);
  void SetBias(size_t sublayer, std::span<const float> bias);
  // Replaces a weight by what fill(first, count, rows[count, cols]) writes for strip after strip,
  // rounded to what is stored.
  void Replace(TensorId id, const std::function<void(size_t, size_t, float*)>& fill);
  // The same for a vector. Throws ERR_ARGUMENT where `values` has another size.
  void Replace(TensorId id, std::span<const float> values);
  // Multiplies the columns of a matrix, or the entries of a vector, and rounds to what is stored.
  // Throws ERR_ARGUMENT where there are not as many factors.
  void Scale(TensorId id, std::span<const float> factors);
  // A matrix[rows, cols] += left[rows, rank] right[rank, cols], rounded to what is stored. Throws
  // ERR_ARGUMENT for other sizes.
  void AddProduct(TensorId id, size_t rank, std::span<const float> left,
                  std::span<const float> right);
  // Keeps those experts of a sublayer, ascending, with their rows of the router. Throws
  // ERR_ARGUMENT where there are fewer than a token passes.
  void KeepExperts(size_t sublayer, std::span<const int32_t> indices);
  // Sets the columns of the output map after all slices of a site; checks that every tensor of the
  // sublayer agrees.
  void Resize(size_t sublayer, size_t width);
  // Rounds an output map and its bias to what is stored: what propagates is what the file will
  // hold.
  void Finish(size_t sublayer);
  // Rows [row, row + count) of a tensor encoded for a file; rope_heads interleaves rows for GGUF.
  // Rows of the source in its own type are its very bytes, as those of its scales in theirs are,
  // where each row has some of its own. Throws ERR_UNSUPPORTED, ERR_NAN where the dtype cannot hold
  // them.
  std::vector<std::byte> Encode(TensorId id, Dtype dtype, size_t row, size_t count,
                                size_t rope_heads) const;

  // Columns [column, column + count) of a matrix, one after the other, in a type of single values.
  // Throws ERR_NAN where it cannot hold them.
  std::vector<std::byte> EncodeColumns(TensorId id, Dtype dtype, size_t column, size_t count) const;

  Context& context() const { return *context_; }
  const std::shared_ptr<Context>& shared_context() const { return context_; }
  // Where its matrices lie.
  TileSpace space() const { return {context_, store_}; }

 private:
  // Where the rows of a matrix come from that is to be stored as the source has it, while nothing
  // has changed them.
  struct Origin {
    TensorSource tensor;
    std::vector<int32_t> rows;
  };

  struct Tensor {
    std::optional<PartShape> shape;  // nothing where it is absent
    Buffer<float> vector;
    std::unique_ptr<PagedMatrix> matrix;
    std::optional<Origin> origin;
  };

  Tensor& At(TensorId id) { return tensors_[id.sublayer][static_cast<size_t>(id.part)]; }
  const Tensor& At(TensorId id) const {
    return tensors_[id.sublayer][static_cast<size_t>(id.part)];
  }
  std::unique_ptr<PagedMatrix> MakeMatrix(size_t rows, size_t cols) const;
  void Load(TensorId id, const TensorSource& source);
  void Put(TensorId id, Buffer<float> vector);
  void Put(TensorId id, std::unique_ptr<PagedMatrix> matrix);
  Buffer<float> SliceVector(TensorId id, std::span<const int32_t> indices) const;
  std::unique_ptr<PagedMatrix> SliceMatrix(TensorId id, int axis,
                                           std::span<const int32_t> indices) const;
  void CheckShape(TensorId id) const;
  // How a part is stored.
  Scaling ScalingOf(Part part) const {
    if (IsNorm(part)) return {.plus = stored_.norm_offset};
    if (part == Part::kOut || part == Part::kOutBias) return {.times = stored_.output_scale};
    if (part == Part::kDecay) return {.as_rate = stored_.decay_as_rate};
    return {};
  }
  Dtype StoredAs(Part part) const {
    return IsVector(part) || Routes(part) ? stored_.vectors : stored_.matrices;
  }
  void Round(TensorId id);
  // Whether a matrix that the source has in that type is to be stored as it is.
  bool StaysAsSource(TensorId id, Dtype dtype) const;
  static std::vector<std::byte> CopyScales(const Origin& origin, size_t row, size_t count);
  static std::vector<std::byte> CopyRows(const Origin& origin, size_t row, size_t count,
                                         size_t rope_heads);

  std::shared_ptr<Context> context_;
  std::shared_ptr<PageStore> store_;
  BlockSpec spec_;
  Stored stored_;
  StripSize strip_;
  std::vector<std::array<Tensor, kParts>> tensors_;
};

// One sublayer of a block: a view.
class Sublayer {
 public:
  Sublayer(const Block& block, size_t index) : block_(&block), index_(index) {}
  const Block& block() const { return *block_; }
  Context& context() const { return block_->context(); }
  size_t index() const { return index_; }
  size_t hidden() const { return block_->spec().hidden; }
  const SublayerSpec& spec() const { return block_->spec().sublayers[index_]; }
  const AttentionSpec* attention() const { return spec().attention(); }
  const FeedForwardSpec* ffn() const { return spec().ffn(); }
  const ExpertsSpec* experts() const { return spec().experts(); }
  const ConvolutionSpec* convolution() const { return spec().convolution(); }
  const DeltaSpec* delta() const { return spec().delta(); }
  // FFNs that run inside it, by their place among them: experts, then the shared one.
  Sublayer inside(size_t place) const { return block_->sublayer(index_ + 1 + place); }
  size_t width() const { return spec().width(); }
  // What states have kept of this block's input, by its mark (core/paged_matrix.h).
  PagedMatrix::Mark mark() const { return block_->spec().index; }
  bool has(Part part) const { return block_->has({index_, part}); }
  PartShape shape(Part part) const { return block_->shape({index_, part}); }
  const float* data(Part part) const { return block_->data({index_, part}); }
  std::span<const float> vector(Part part) const { return block_->vector({index_, part}); }
  PagedMatrix* matrix(Part part) const { return block_->matrix({index_, part}); }

 private:
  const Block* block_;
  size_t index_;
};

inline Sublayer Block::sublayer(size_t index) const { return Sublayer(*this, index); }

// Encodes rows of any float matrix for a file, row i of the result being stored row i.
std::vector<std::byte> EncodeRows(const float* values, size_t rows, size_t cols, Dtype dtype,
                                  size_t row, size_t count, size_t rope_heads,
                                  const std::string& name);
// The same of a stored tensor that is in no block. A matrix in its own type goes out as its very
// bytes.
std::vector<std::byte> EncodeRows(Context& context, const TensorSource& source, Dtype dtype,
                                  size_t row, size_t count);

}  // namespace struprune
