#include "core/paged_matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace struprune {
namespace {

using Access = PagedMatrix::Access;
constexpr size_t kRows = 23, kCols = 3, kPageRows = 5;

// Room for two pages.
PagedMatrix Make() {
  const auto context = std::make_shared<Context>(1, 0);
  return {std::make_shared<PageStore>(context, 2 * kPageRows * kCols * sizeof(float),
                                      testing::TempDir()),
          kRows, kCols, kPageRows};
}

std::vector<float> Numbers(size_t count, float first = 0) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST(PagedMatrixTest, RowsOfManyPagesAreReadAndWritten) {
  PagedMatrix matrix = Make();
  auto expected = Numbers(kRows * kCols);
  matrix.Write(0, kRows, expected.data());
  const auto more = Numbers(11 * kCols, 500);
  matrix.Write(3, 11, more.data());  // parts of the first and the third page
  std::ranges::copy(more, expected.begin() + 3 * kCols);
  std::vector<float> all(kRows * kCols);
  matrix.Read(0, kRows, all.data());
  EXPECT_EQ(all, expected);
}

TEST(PagedMatrixTest, AViewIsOfOnePage) {
  PagedMatrix matrix = Make();
  const auto values = Numbers(kRows * kCols);
  matrix.Write(0, kRows, values.data());
  EXPECT_EQ(matrix.Run(0, 100), 5u);
  EXPECT_EQ(matrix.Run(7, 100), 3u);
  EXPECT_EQ(matrix.Run(7, 2), 2u);
  EXPECT_EQ(matrix.Run(20, 100), 3u);
  {
    // Overwriting a part leaves the rest of the page.
    const PagedMatrix::View view(matrix, 21, 1, Access::kWrite);
    std::fill_n(view.data(), kCols, -1.0f);
  }
  for (size_t row = 0; row < 20; row += kPageRows) {
    const PagedMatrix::View view(matrix, row, kPageRows, Access::kRead);
    EXPECT_EQ(view.data()[0], static_cast<float>(row * kCols));
  }
  const PagedMatrix::View last(matrix, 20, 3, Access::kRead);
  EXPECT_EQ(std::vector<float>(last.data(), last.data() + 9),
            std::vector<float>({60, 61, 62, -1, -1, -1, 66, 67, 68}));
  EXPECT_THROW(PagedMatrix::View(matrix, 3, 4, Access::kRead), Error);
  EXPECT_THROW(PagedMatrix::View(matrix, kRows, 0, Access::kRead), Error);
}

TEST(PagedMatrixTest, WithoutColumnsThereIsNothingToMove) {
  PagedMatrix matrix(std::make_shared<PageStore>(std::make_shared<Context>(1, 0), 0, ""), kRows, 0,
                     kPageRows);
  matrix.Write(0, kRows, nullptr);
  matrix.Read(0, kRows, nullptr);
  EXPECT_EQ(PagedMatrix::View(matrix, 0, kPageRows, Access::kUpdate).data(), nullptr);
  EXPECT_THROW(PagedMatrix::View(matrix, 3, 4, Access::kRead), Error);
}

TEST(PagedMatrixTest, APageOfTokensHoldsWholeWindows) {
  EXPECT_EQ(PagedMatrix::PageRows(1024), 4096u);
  EXPECT_EQ(PagedMatrix::PageRows(1000), 4000u);
  EXPECT_EQ(PagedMatrix::PageRows(5000), 5000u);
}

}  // namespace
}  // namespace struprune
