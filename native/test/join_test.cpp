#include "team/join.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/paged_matrix.h"
#include "expect_error.h"
#include "float_tensors.h"
#include "model/energy.h"
#include "ops/blas.h"
#include "thread_team.h"
#include "tiles/statistics.h"

namespace struprune {
namespace {

constexpr size_t kDim = 40, kResidual = 9, kPage = 30, kRows = 18 * kPage + 11;

// The team is somebody else's.
Share ShareOf(Team& team) {
  return {static_cast<size_t>(team.rank()), static_cast<size_t>(team.size()),
          std::shared_ptr<Team>(std::shared_ptr<Team>(), &team)};
}

std::vector<double> CellsOf(const TileMatrix<double>& matrix) {
  std::vector<double> cells;
  for (size_t i = 0; i < matrix.rows().tiles(); ++i) {
    for (size_t j = 0; j < matrix.cols().tiles() && matrix.Has(i, j); ++j) {
      const auto tile = matrix.Read(i, j);
      for (size_t r = 0; r < tile.rows; ++r) {
        cells.insert(cells.end(), tile.row(r), tile.row(r) + tile.cols);
      }
    }
  }
  return cells;
}

// All numbers of sums over the rows of a rank. `moved`: of segments that are so many places on.
std::vector<double> Summed(const Share& share, size_t limit, size_t moved = 0) {
  InitialiseBlas();
  const auto context = std::make_shared<Context>(2, 0);
  const auto store = std::make_shared<PageStore>(context, limit, testing::TempDir());
  Statistics sums({context, store, 16}, kDim, true, kResidual, share);
  auto x = test::RandomFloats(kRows * kDim, 1);
  const auto r = test::RandomFloats(kRows * kResidual, 2);
  // Doubles hold sums of floats of one size without rounding.
  for (size_t i = 0; i < x.size(); ++i) x[i] *= std::pow(100.0f, i / (kPage * kDim) % 5);
  const size_t pages = (kRows + kPage - 1) / kPage;
  const Segments segments(kRows, kPage, share);
  for (size_t page = 0; page < pages; ++page) {
    if (!segments.held().Has(page * kPage)) continue;
    const size_t row = (page + moved) % pages * kPage, rows = std::min(kPage, kRows - row);
    sums.Add(segments.At(page * kPage), rows, x.data() + row * kDim, r.data() + row * kResidual);
  }
  sums.Join();
  std::vector<double> all = CellsOf(*sums.gram());
  const std::vector<double> cross = CellsOf(*sums.cross());
  all.insert(all.end(), cross.begin(), cross.end());
  all.insert(all.end(), sums.squares(), sums.squares() + kDim);
  all.insert(all.end(), sums.sums(), sums.sums() + kDim);
  all.insert(all.end(), sums.residual_sums(), sums.residual_sums() + kResidual);
  all.push_back(sums.residual_energy());
  all.push_back(static_cast<double>(sums.tokens()));
  return all;
}

TEST(JoinTest, EveryRowIsOfOneRank) {
  for (const size_t pages : {1, 2, 7, 16, 40}) {
    for (size_t ranks = 1; ranks <= 18; ++ranks) {
      size_t next = 0, own = 0;
      for (size_t rank = 0; rank < ranks; ++rank) {
        const Segments segments(pages * 10 - 3, 10, {rank, ranks, nullptr});
        const auto [begin, end] = segments.held();
        EXPECT_EQ(begin, next);
        // Whole segments.
        if (begin > 0 && begin < end) {
          EXPECT_NE(segments.At(begin), segments.At(begin - 1));
        }
        EXPECT_LE(segments.own(), (segments.count() + ranks - 1) / ranks);
        next = end, own += segments.own();
      }
      EXPECT_EQ(next, pages * 10 - 3);
      EXPECT_EQ(own, Segments(pages * 10, 10).count());
    }
  }
}

TEST(JoinTest, SumsOfAnyNumberOfRanksAreThoseOfOne) {
  const std::vector<double> wanted = Summed({}, 0);
  // The last ones have more ranks than segments.
  for (const int size : {2, 3, 5, 16, 20}) {
    test::RunRanks(size, [&](Team& team) {
      EXPECT_EQ(Summed(ShareOf(team), 0), wanted) << team.rank() << " of " << size;
      EXPECT_EQ(Summed(ShareOf(team), 16 * 16 * sizeof(double) * 8), wanted) << "in scratch";
    });
  }
}

TEST(JoinTest, AnotherOrderGivesOtherBits) {
  const std::vector<double> wanted = Summed({}, 0);
  test::RunRanks(3, [&](Team& team) {
    EXPECT_NE(Summed(ShareOf(team), 0, 7), wanted) << "the same rows in other segments";
    // The ranks' sums in another order.
    Share share = ShareOf(team);
    share.rank = (share.rank + 1) % share.ranks;
    EXPECT_NE(Summed(share, 0), wanted);
  });
}

TEST(JoinTest, OfAnEnergy) {
  const auto energy = [](const Share& share) {
    Context context(1, 0);
    const auto shared = std::shared_ptr<Context>(std::shared_ptr<Context>(), &context);
    PagedMatrix matrix(std::make_shared<PageStore>(shared, 0, ""), kRows, 3, kPage, share);
    const auto [begin, end] = matrix.held();
    const auto values = test::RandomFloats(kRows * 3, 5);
    matrix.Write(begin, end - begin, values.data() + begin * 3);
    return Energy(context, matrix);
  };
  const double wanted = energy({});
  test::RunRanks(4, [&](Team& team) { EXPECT_EQ(energy(ShareOf(team)), wanted); });
}

TEST(JoinTest, OneThatFailsKeepsNobodyWaiting) {
  test::RunRanks(3, [](Team& team) {
    Context context(1, 0);
    std::vector<double> own(2, 1);
    const Pieces pieces{{1, 1},
                        [&](size_t piece, double* to) {
                          if (team.rank() == 1)
                            throw Error("ERR_SCRATCH", "the disk is full", "free some");
                          *to += own[piece];
                        },
                        [&](size_t piece, const double* total) { own[piece] = *total; },
                        [] {}};
    if (team.rank() == 1) {
      test::ExpectError([&] { JoinRanks(context, ShareOf(team), pieces); }, "ERR_SCRATCH", "full");
      Agree(team, Error("ERR_SCRATCH", "the disk is full", "free some"));
      return;
    }
    EXPECT_NO_THROW(JoinRanks(context, ShareOf(team), pieces));
    // Before they go on.
    test::ExpectError([&] { JoinRanks(context, ShareOf(team), pieces); }, "ERR_SCRATCH",
                      "rank 1: the disk is full");
  });
}

}  // namespace
}  // namespace struprune
