#include "core/paged_matrix.h"

#include <map>
#include <vector>

#include "core/error.h"

namespace struprune {

PagedMatrix::PagedMatrix(std::shared_ptr<PageStore> store, size_t rows, size_t cols,
                         size_t page_rows, Share share)
    : pages_(std::move(store), (rows + page_rows - 1) / page_rows, page_rows * cols * sizeof(float),
             ((rows + page_rows - 1) % page_rows + 1) * cols * sizeof(float)),
      rows_(rows),
      cols_(cols),
      page_rows_(page_rows),
      share_(std::move(share)) {}

size_t PagedMatrix::Run(size_t row, size_t most) const {
  return std::min({most, rows_ - row, page_rows_ - row % page_rows_});
}

PagedMatrix::Access PagedMatrix::For(size_t row, size_t count, Access access) const {
  const bool whole = row % page_rows_ == 0 && count == Run(row, page_rows_);
  return access == Access::kWrite && !whole ? Access::kUpdate : access;
}

PagedMatrix::View::View(PagedMatrix& matrix, size_t row, size_t count, Access access) {
  if (row >= matrix.rows_ || count > matrix.Run(row, count)) {
    throw Error("ERR_INTERNAL", "a view past the page of a matrix");
  }
  if (matrix.cols_ == 0) return;
  pin_ = matrix.pages_.Acquire(row / matrix.page_rows_, matrix.For(row, count, access));
  data_ = pin_.as<float>().data() + row % matrix.page_rows_ * matrix.cols_;
}

PagedMatrix& PagedMatrix::KeepEarlier(size_t row, Mark mark) {
  if (!earlier_) {
    earlier_ =
        std::make_unique<PagedMatrix>(pages_.shared_store(), rows_, cols_, page_rows_, share_);
    marks_.assign((rows_ + page_rows_ - 1) / page_rows_, kUnmarked);
  }
  marks_[row / page_rows_] = mark;
  return *earlier_;
}

PagedMatrix* PagedMatrix::Earlier(size_t row, Mark mark) const {
  return mark != kUnmarked && MarkOf(row) == mark ? earlier_.get() : nullptr;
}

PagedMatrix::Mark PagedMatrix::MarkOf(size_t row) const {
  return marks_.empty() ? kUnmarked : marks_[row / page_rows_];
}

void PagedMatrix::ForgetEarlier(size_t row, size_t count) {
  if (marks_.empty()) return;
  for (size_t page = (row + page_rows_ - 1) / page_rows_; page * page_rows_ < row + count; ++page) {
    marks_[page] = kUnmarked;
  }
  if (std::ranges::any_of(marks_, [](Mark mark) { return mark != kUnmarked; })) return;
  earlier_.reset();
  marks_.clear();
}

void PagedMatrix::Read(size_t row, size_t count, float* out) const {
  if (cols_ == 0) return;
  while (count > 0) {
    const size_t run = Run(row, count);
    const auto pin = pages_.Acquire(row / page_rows_, Access::kRead);
    std::copy_n(pin.as<float>().data() + row % page_rows_ * cols_, run * cols_, out);
    row += run;
    count -= run;
    out += run * cols_;
  }
}

void PagedMatrix::Write(size_t row, size_t count, const float* in) {
  if (cols_ == 0) return;
  while (count > 0) {
    const size_t run = Run(row, count);
    const View view(*this, row, run, Access::kWrite);
    std::copy_n(in, run * cols_, view.data());
    row += run;
    count -= run;
    in += run * cols_;
  }
}

class FlightOrder {
 public:
  void Add(size_t row, std::span<const Stream> streams, std::span<const Scan> scans) {
    for (const auto& [matrix, access] : streams) {
      if (matrix && matrix->cols() > 0 && row < matrix->rows()) Visit(*matrix, row, access);
    }
    for (const Scan& scan : scans) {
      for (size_t time = 0; time < scan.times; ++time) {
        for (const PagedMatrix* matrix : scan.matrices) {
          if (!matrix || matrix->cols() == 0) continue;
          for (size_t at = 0; at < matrix->rows(); at += matrix->page_rows()) {
            Visit(*matrix, at, PagedMatrix::Access::kRead);
          }
        }
      }
    }
  }

  void Announce() const {
    for (const auto& [store, order] : orders_) store->Announce(order);
  }

 private:
  void Visit(const PagedMatrix& matrix, size_t row, PagedMatrix::Access access) {
    const auto page = static_cast<uint32_t>(row / matrix.page_rows());
    orders_[&matrix.pages_.store()].push_back({matrix.pages_.id(), page, access});
  }

  std::map<PageStore*, std::vector<PageStore::Visit>> orders_;
};

void AnnounceFlights(size_t row, size_t rows, const std::vector<Stream>& streams,
                     std::span<const Scan> scans) {
  FlightOrder order;
  size_t page = rows;
  for (const auto& [matrix, access] : streams) {
    if (matrix) page = std::min(page, matrix->page_rows());
  }
  for (size_t at = row; at < rows; at += page) {
    order.Add(at, streams, at <= row + page ? scans : std::span<const Scan>());
  }
  order.Announce();
}

void AnnounceFlight(size_t row, std::span<const Stream> streams, std::span<const Scan> scans) {
  FlightOrder order;
  order.Add(row, streams, scans);
  order.Announce();
}

const float* RowReader::Row(size_t row) {
  if (!view_ || row < first_ || row >= first_ + count_) {
    view_.reset();
    first_ = row - row % matrix_.page_rows();
    count_ = matrix_.Run(first_, matrix_.page_rows());
    view_.emplace(matrix_, first_, count_, PagedMatrix::Access::kRead);
  }
  return view_->data() + (row - first_) * matrix_.cols();
}

}  // namespace struprune
