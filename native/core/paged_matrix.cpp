#include "core/paged_matrix.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>

namespace struprune {
namespace {

Error ScratchError(const std::string& what, int error) {
  return Error("ERR_OUTPUT", "scratch file: " + what + ": " + std::strerror(error),
               "free space there or name another folder with --scratch");
}

// An open file without a name: nothing is left behind, however the process ends. Where the file
// system makes none without a name, the name goes at once.
int OpenNameless(const std::string& folder) {
#ifdef O_TMPFILE
  const int nameless = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (nameless >= 0) return nameless;
#endif
  std::string path = folder + "/struprune-scratch-XXXXXX";
  const int file = mkostemp(path.data(), O_CLOEXEC);
  if (file < 0) throw ScratchError("cannot be made in " + folder, errno);
  unlink(path.c_str());
  return file;
}

int OpenScratch(const std::string& folder, size_t bytes) {
  const int file = OpenNameless(folder);
  if (const int error = posix_fallocate(file, 0, static_cast<off_t>(std::max<size_t>(bytes, 1)))) {
    close(file);
    throw ScratchError(std::to_string(bytes >> 20) + " MiB in " + folder, error);
  }
  return file;
}

}  // namespace

PagedMatrix::PagedMatrix(std::shared_ptr<Context> context, size_t rows, size_t cols,
                         const std::string& scratch_folder)
    : context_(std::move(context)), rows_(rows), cols_(cols) {
  if (scratch_folder.empty()) {
    memory_ = context_->Allocate<float>(rows * cols);
  } else {
    file_ = OpenScratch(scratch_folder, rows * cols * sizeof(float));
  }
}

PagedMatrix::~PagedMatrix() {
  if (file_ >= 0) close(file_);
}

void PagedMatrix::Read(size_t row, size_t count, float* out) const {
  if (file_ < 0) {
    std::copy_n(memory_.data() + row * cols_, count * cols_, out);
    return;
  }
  char* to = reinterpret_cast<char*>(out);
  size_t left = count * cols_ * sizeof(float);
  size_t offset = row * cols_ * sizeof(float);
  while (left > 0) {
    const ssize_t got = pread(file_, to, left, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw ScratchError("read", got < 0 ? errno : EIO);
    to += got;
    offset += static_cast<size_t>(got);
    left -= static_cast<size_t>(got);
  }
}

void PagedMatrix::Write(size_t row, size_t count, const float* in) {
  if (file_ < 0) {
    std::copy_n(in, count * cols_, memory_.data() + row * cols_);
    return;
  }
  const char* from = reinterpret_cast<const char*>(in);
  size_t left = count * cols_ * sizeof(float);
  size_t offset = row * cols_ * sizeof(float);
  while (left > 0) {
    const ssize_t put = pwrite(file_, from, left, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw ScratchError("write", put < 0 ? errno : ENOSPC);
    from += put;
    offset += static_cast<size_t>(put);
    left -= static_cast<size_t>(put);
  }
}

PagedMatrix::View::View(PagedMatrix& matrix, size_t row, size_t count, bool read, bool write)
    : matrix_(matrix),
      row_(row),
      count_(count),
      write_(write),
      exceptions_(std::uncaught_exceptions()) {
  if (row + count > matrix.rows_) throw Error("ERR_INTERNAL", "row range outside a paged matrix");
  if (matrix.file_ < 0) {
    data_ = matrix.memory_.data() + row * matrix.cols_;
    return;
  }
  copy_ = matrix.context_->Allocate<float>(count * matrix.cols_);
  data_ = copy_.data();
  if (read) matrix.Read(row, count, data_);
}

PagedMatrix::View::~View() noexcept(false) {
  if (write_ && !copy_.empty() && std::uncaught_exceptions() == exceptions_) {
    matrix_.Write(row_, count_, data_);
  }
}

}  // namespace struprune
