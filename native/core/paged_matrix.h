// A tall row-major float matrix [rows, cols] (hidden states, activations) kept in pages of whole
// rows.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/context.h"

namespace struprune {

class PagedMatrix {
 public:
  // scratch_folder empty: pages stay in memory. Otherwise they live in an unlinked temporary file
  // there and only pages in use are in memory.
  PagedMatrix(std::shared_ptr<Context> context, size_t rows, size_t cols,
              const std::string& scratch_folder);
  ~PagedMatrix();
  PagedMatrix(const PagedMatrix&) = delete;
  PagedMatrix& operator=(const PagedMatrix&) = delete;

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }

  // Rows [row, row + count) in memory while the view lives; written back (if scratch) when `write`.
  class View {
   public:
    View(PagedMatrix& matrix, size_t row, size_t count, bool read, bool write);
    ~View() noexcept(false);
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    float* data() { return data_; }  // [count, cols]

   private:
    PagedMatrix& matrix_;
    const size_t row_, count_;
    const bool write_;
    const int exceptions_;
    Buffer<float> copy_;
    float* data_ = nullptr;
  };

  void Read(size_t row, size_t count, float* out) const;
  void Write(size_t row, size_t count, const float* in);

 private:
  std::shared_ptr<Context> context_;
  const size_t rows_, cols_;
  Buffer<float> memory_;  // [rows, cols] without scratch
  int file_ = -1;
};

}  // namespace struprune
