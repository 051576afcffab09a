#include "tiles/statistics.h"

#include <algorithm>
#include <vector>

#include "core/simd.h"
#include "ops/gemm.h"
#include "ops/gemm_path.h"
#include "team/join.h"
#include "team/team.h"
#include "tiles/elementwise.h"
#include "tiles/gather.h"
#include "tiles/run_tiles.h"
#include "tiles/strips.h"

namespace struprune {
namespace {

struct TilePlace {
  TileMatrix<double>* sum;  // null: the moments of columns j, of X or of the residual
  size_t i, j;
  bool residual = false;
};

// squares += Σ x², sums += Σ x over rows, in their order; columns [begin, end).
STRUPRUNE_CLONES
void AddMoments(size_t rows, const float* x, size_t dim, size_t begin, size_t end, double* squares,
                double* sums) {
  // Rows at a time, since the running sums go through memory; the next ones are asked for.
  constexpr size_t kRows = 4, kLine = 16;
  size_t i = 0;
  for (; i + kRows <= rows; i += kRows) {
    const float* row = x + i * dim;
    for (size_t ahead = kRows; ahead < 2 * kRows && i + ahead < rows; ++ahead) {
      for (size_t j = begin; j < end; j += kLine) __builtin_prefetch(row + ahead * dim + j);
    }
    for (size_t j = begin; j < end; ++j) {
      double sum = sums[j], square = squares[j];
      for (size_t r = 0; r < kRows; ++r) {
        const double value = row[r * dim + j];
        sum += value;
        square += value * value;
      }
      sums[j] = sum;
      squares[j] = square;
    }
  }
  for (; i < rows; ++i) {
    for (size_t j = begin; j < end; ++j) {
      const double value = x[i * dim + j];
      sums[j] += value;
      squares[j] += value * value;
    }
  }
}

// What is above the diagonal from what is below it.
void MirrorLower(const Tile<double>& tile) {
  constexpr size_t kBlock = 16;
  for (size_t row = 0; row < tile.rows; row += kBlock) {
    for (size_t column = 0; column <= row; column += kBlock) {
      for (size_t i = row; i < std::min(tile.rows, row + kBlock); ++i) {
        for (size_t j = column; j < std::min(i, column + kBlock); ++j) {
          tile.row(j)[i] = tile.row(i)[j];
        }
      }
    }
  }
}

// Numbers of the buffers.
struct SumCounts {
  SumCounts(const Context& context, const Statistics::Sizes& sizes, size_t side)
      : sums(sizes.dim),
        residual_sums(sizes.residual),
        products(context.pool.size() * TileOf(sizes, side)) {}
  // Of the largest product: that of cross products alone may be narrow.
  static size_t TileOf(const Statistics::Sizes& sizes, size_t side) {
    if (sizes.gram) return side * side;
    return std::min(side, sizes.residual) * std::min(side, sizes.dim);
  }
  size_t Moments() const { return 2 * (sums + residual_sums); }
  size_t sums, residual_sums, products;
};

// Numbers beside the tiles: moments, the residual's energy, tokens.
size_t RestOf(const Statistics::Sizes& sizes) { return 2 * (sizes.dim + sizes.residual) + 2; }

size_t MatrixBytes(const Statistics::Sizes& sizes, size_t side = kTileSide) {
  const size_t gram = sizes.gram ? TileBytes(sizes.dim, sizes.dim, Shape::kSymmetric, side) : 0;
  return gram + TileBytes(sizes.residual, sizes.dim, Shape::kFull, side);
}

}  // namespace

Needs Statistics::Buffers(const Context& context, const Sizes& sizes) {
  const SumCounts n(context, sizes, kTileSide);
  return HeldDoubles(n.Moments()) + HeldFloats(n.products);
}

Needs Statistics::NeedsOf(const Context& context, const Sizes& sizes, bool paged) {
  return Buffers(context, sizes) + TileNeeds(context, MatrixBytes(sizes), paged);
}

Needs Statistics::WaitingNeeds(const Context& context, std::span<const Sizes> all,
                               const TokenPages& tokens) {
  const size_t more = MostSums(tokens.segments()) - 1;
  size_t moments = 0, tiles = 0;
  for (const Sizes& sizes : all) {
    moments += SumCounts(context, sizes, kTileSide).Moments();
    tiles += MatrixBytes(sizes);
  }
  Needs needs = HeldDoubles(more * moments);
  // Of the tiles at hand some are there without them.
  const Needs own = TileNeeds(context, tiles, tokens.tiles_paged);
  const Needs both = TileNeeds(context, (1 + more) * tiles, tokens.tiles_paged);
  needs.memory += both.memory - own.memory;
  needs.scratch += both.scratch - own.scratch;
  size_t piece = kTileSide * kTileSide, travels = tiles / sizeof(double);
  for (const Sizes& sizes : all) {
    piece = std::max(piece, RestOf(sizes)), travels += RestOf(sizes);
  }
  return needs + JoinNeeds(tokens.share, piece, travels);
}

Statistics::Statistics(const TileSpace& space, size_t dim, bool with_gram, size_t residual_dim,
                       Share share)
    : space_(space),
      dim_(dim),
      residual_dim_(residual_dim),
      with_gram_(with_gram),
      share_(std::move(share)),
      sums_([this] { return Zero(); }, share_.rank > 0) {
  const SumCounts n(*space.context, {dim, with_gram, residual_dim}, space.side);
  products_ = space.context->Allocate<float>(n.products);
}

Statistics::Sums Statistics::Zero() const {
  Context& context = *space_.context;
  const auto zeros = [&](size_t count) {
    auto buffer = context.Allocate<double>(count);
    std::fill_n(buffer.data(), count, 0.0);
    return buffer;
  };
  const SumCounts n(context, {dim_, with_gram_, residual_dim_}, space_.side);
  Sums zero;
  if (with_gram_) {
    zero.gram = std::make_shared<TileMatrix<double>>(space_, dim_, dim_, Shape::kSymmetric);
  }
  if (residual_dim_ > 0) {
    zero.cross = std::make_shared<TileMatrix<double>>(space_, residual_dim_, dim_);
  }
  zero.squares = zeros(n.sums), zero.sums = zeros(n.sums);
  zero.residual_squares = zeros(n.residual_sums), zero.residual_sums = zeros(n.residual_sums);
  return zero;
}

void Statistics::Sums::operator+=(Sums&& from) {
  if (gram) struprune::Add(1, *from.gram, *gram);
  if (cross) struprune::Add(1, *from.cross, *cross);
  for (const auto member :
       {&Sums::squares, &Sums::sums, &Sums::residual_squares, &Sums::residual_sums}) {
    for (size_t i = 0; i < (this->*member).size(); ++i) (this->*member)[i] += (from.*member)[i];
  }
  other_energy += from.other_energy;
}

void Statistics::Join() {
  if (share_.team) JoinRanksOf();
  sums_.Total();
}

// Tile by tile, and at last everything else.
void Statistics::JoinRanksOf() {
  struct Place {
    std::shared_ptr<TileMatrix<double>> Sums::* sum;
    size_t i, j;
  };
  std::vector<Place> places;
  Pieces pieces;
  const std::span<Sums> parts = sums_.Parts();
  Sums& first = parts.front();
  for (const auto sum : {&Sums::gram, &Sums::cross}) {
    if (!(first.*sum)) continue;
    for (const auto& [i, j] : TilesOf(*(first.*sum))) {
      places.push_back({sum, i, j});
      pieces.sizes.push_back((first.*sum)->rows().count(i) * (first.*sum)->cols().count(j));
    }
  }
  pieces.sizes.push_back(RestOf({dim_, with_gram_, residual_dim_}));
  // visit(sums, number, values): where they lie in the last piece.
  const auto each_rest = [](Sums& sums, const auto& visit) {
    for (const auto member :
         {&Sums::squares, &Sums::sums, &Sums::residual_squares, &Sums::residual_sums}) {
      for (double& value : std::span((sums.*member).data(), (sums.*member).size())) visit(value);
    }
    visit(sums.other_energy);
  };
  pieces.add = [&](size_t piece, double* to) {
    for (Sums& part : sums_.Parts()) {
      double* next = to;
      if (piece == places.size()) {
        each_rest(part, [&](double value) { *next++ += value; });
        continue;
      }
      const auto& [sum, i, j] = places[piece];
      const auto tile = (part.*sum)->Read(i, j);
      for (size_t r = 0; r < tile.rows; ++r) {
        for (size_t c = 0; c < tile.cols; ++c) *next++ += tile.row(r)[c];
      }
    }
    if (piece == places.size()) to[pieces.sizes.back() - 1] += static_cast<double>(tokens_);
  };
  pieces.store = [&](size_t piece, const double* total) {
    Sums& to = sums_.Parts().front();
    if (piece == places.size()) {
      each_rest(to, [&](double& value) { value = *total++; });
      tokens_ = static_cast<size_t>(*total);
      return;
    }
    const auto& [sum, i, j] = places[piece];
    const auto tile = (to.*sum)->Write(i, j);
    for (size_t r = 0; r < tile.rows; ++r, total += tile.cols) {
      std::copy_n(total, tile.cols, tile.row(r));
    }
  };
  pieces.become_total = [&] { sums_.BecomeTotal(); };
  const Share share = std::exchange(share_, {});
  share.team->traffic.sums += JoinRanks(*space_.context, share, pieces);
}

size_t Statistics::TokenPage() {
  const GemmPath path = CurrentGemmPath();
  return IsBf16(path) || path == GemmPath::kAmxBf16x3 ? kRoundedPage : kExactPage;
}

void Statistics::Add(size_t segment, size_t rows, const float* x, const float* residual,
                     size_t page) {
  AddProducts({rows, x, residual, page}, sums_.At(segment));
  tokens_ += rows;
}

double Statistics::residual_energy() {
  const Sums& total = sums_.Total();
  double energy = total.other_energy;
  for (size_t j = 0; j < residual_dim_; ++j) energy += total.residual_squares[j];
  return energy;
}

size_t Statistics::Unmade(const Segments& segments) const {
  if (tokens_ > 0) return 0;
  return MostSums(segments) * MatrixBytes({dim_, with_gram_, residual_dim_}, space_.side);
}

void Statistics::AddProducts(const Input& input, Sums& to) {
  std::vector<TilePlace> places;
  for (TileMatrix<double>* sum : {to.gram.get(), to.cross.get()}) {
    if (!sum) continue;
    for (const auto& [i, j] : TilesOf(*sum)) places.push_back({sum, i, j});
  }
  const TileAxis columns(dim_, space_.side), residual_columns(residual_dim_, space_.side);
  for (size_t j = 0; j < columns.tiles(); ++j) places.push_back({nullptr, 0, j});
  for (size_t j = 0; j < residual_columns.tiles(); ++j) places.push_back({nullptr, 0, j, true});
  const Columns packed = Pack(input);
  RunTiles(
      space_, places.size(),
      [&](size_t index, Visits& visits) {
        const auto& [sum, i, j, residual] = places[index];
        if (sum) visits.push_back(sum->At(i, j));
      },
      [&](size_t index, size_t worker) {
        const auto& [sum, i, j, residual] = places[index];
        if (!sum) {
          const TileAxis& axis = residual ? residual_columns : columns;
          AddMoments(input.rows, residual ? input.residual : input.x, axis.size(), axis.begin(j),
                     axis.begin(j) + axis.count(j),
                     residual ? to.residual_squares.data() : to.squares.data(),
                     residual ? to.residual_sums.data() : to.sums.data());
          return;
        }
        AddProduct(input, packed, sum == to.cross.get(), *sum, i, j,
                   products_.data() + worker * (products_.size() / space_.context->pool.size()));
      });
}

Statistics::Columns Statistics::Pack(const Input& input) const {
  Columns packed;
  const auto make = [&](OperandSide side, size_t dim, std::vector<PackedOperand>& to) {
    const TileAxis axis(dim, space_.side);
    to.reserve(axis.tiles());
    for (size_t i = 0; i < axis.tiles(); ++i) {
      to.emplace_back(*space_.context, side, axis.count(i), input.rows);
      if (to.back().empty()) return false;
    }
    return true;
  };
  const bool cross = residual_dim_ > 0;
  if (!with_gram_ && !cross) return {};
  // The first rows make the tiles of one segment; passes know of the others.
  const PendingBytes pending(*space_.context->budget, Unmade(Segments(0, 1)));
  if (!make(OperandSide::kB, dim_, packed.x)) return {};
  if (with_gram_ && !make(OperandSide::kA, dim_, packed.x_transposed)) return {};
  if (cross && !make(OperandSide::kA, residual_dim_, packed.residual_transposed)) return {};
  const TileAxis columns(dim_, space_.side), residual_columns(residual_dim_, space_.side);
  const size_t tasks = columns.tiles() + packed.residual_transposed.size();
  space_.context->pool.ParallelFor(tasks, [&](size_t index, size_t) {
    if (index >= columns.tiles()) {
      const size_t i = index - columns.tiles();
      packed.residual_transposed[i].Fill(Trans::kYes, input.residual + residual_columns.begin(i),
                                         residual_dim_);
      return;
    }
    const float* const x = input.x + columns.begin(index);
    if (with_gram_) {
      packed.x[index].Fill(Trans::kNo, x, dim_, packed.x_transposed[index]);
    } else {
      packed.x[index].Fill(Trans::kNo, x, dim_);
    }
  });
  return packed;
}

// sum(i, j) += leftᵀ x over the tile's columns of both, token page by token page.
void Statistics::AddProduct(const Input& input, const Columns& packed, bool cross,
                            TileMatrix<double>& sum, size_t i, size_t j, float* product) const {
  const bool diagonal = !cross && i == j;
  const float* const left = cross ? input.residual : input.x;
  const size_t left_dim = cross ? residual_dim_ : dim_;
  const Tile<double> tile = sum.Update(i, j);
  const size_t row = sum.rows().begin(i), column = sum.cols().begin(j);
  for (size_t page = 0; page < input.rows; page += input.page) {
    const size_t rows = std::min(input.page, input.rows - page);
    const float* const from = left + page * left_dim + row;
    const float* const x = input.x + page * dim_ + column;
    if (packed.x.empty() && diagonal) {
      GemmLower(Trans::kYes, Trans::kNo, tile.rows, rows, from, left_dim, x, dim_, product,
                tile.cols);
    } else if (packed.x.empty()) {
      Gemm(Trans::kYes, Trans::kNo, tile.rows, tile.cols, rows, 1.0f, from, left_dim, x, dim_, 0.0f,
           product, tile.cols);
    } else {
      const auto& lines = cross ? packed.residual_transposed : packed.x_transposed;
      const PackedPart a{.operand = lines[i], .k = page}, b{.operand = packed.x[j], .k = page};
      if (diagonal) {
        GemmLower(tile.rows, rows, a, b, product, tile.cols);
      } else {
        Gemm(tile.rows, tile.cols, rows, 1.0f, a, b, 0.0f, product, tile.cols);
      }
    }
    for (size_t r = 0; r < tile.rows; ++r) {
      double* to = tile.row(r);
      const float* sums = product + r * tile.cols;
      for (size_t c = 0; c < (diagonal ? r + 1 : tile.cols); ++c) to[c] += sums[c];
    }
  }
  if (diagonal) MirrorLower(tile);
}

void Statistics::AddGramRows(size_t first, size_t count, const double* rows) {
  TileMatrix<double>& gram = *sums_.Total().gram;
  const TileAxis& axis = gram.rows();
  for (size_t i = axis.tile_of(first); i < axis.tiles() && axis.begin(i) < first + count; ++i) {
    const size_t begin = std::max(first, axis.begin(i));
    const size_t end = std::min(first + count, axis.begin(i) + axis.count(i));
    for (size_t j = 0; j <= i; ++j) {
      const Tile<double> tile = gram.Update(i, j);
      const size_t column = axis.begin(j);
      for (size_t r = begin; r < end; ++r) {
        const double* from = rows + (r - first) * dim_;
        const size_t to_diagonal = std::min(column + tile.cols, r + 1);
        for (size_t c = column; c < to_diagonal; ++c) {
          tile.row(r - axis.begin(i))[c - column] += from[c];
          // A tile on the diagonal is whole.
          if (i == j && c < r) tile.row(c - column)[r - column] += from[c];
        }
      }
    }
  }
}

void Statistics::AddCrossRows(size_t first, size_t count, size_t column, size_t columns,
                              const double* rows) {
  TileMatrix<double>& cross = *sums_.Total().cross;
  EachPart(cross.rows(), first, count, [&](size_t i, size_t r0, size_t height, size_t down) {
    EachPart(cross.cols(), column, columns, [&](size_t j, size_t c0, size_t width, size_t right) {
      const Tile<double> tile = cross.Update(i, j);
      for (size_t r = 0; r < height; ++r) {
        const double* from = rows + (down + r) * columns + right;
        double* to = tile.row(r0 + r) + c0;
        for (size_t c = 0; c < width; ++c) to[c] += from[c];
      }
    });
  });
}

void Statistics::AddSums(size_t tokens, const double* squares, const double* sums,
                         const double* residual_sums, double residual_energy) {
  const auto add = [](size_t count, const double* from, double* to) {
    for (size_t i = 0; from && i < count; ++i) to[i] += from[i];
  };
  Sums& to = sums_.Total();
  add(dim_, squares, to.squares.data());
  add(dim_, sums, to.sums.data());
  add(residual_dim_, residual_sums, to.residual_sums.data());
  to.other_energy += residual_energy;
  tokens_ += tokens;
}

std::shared_ptr<const TileMatrix<double>> GramAbout(std::span<const double> means,
                                                    Statistics& statistics) {
  const auto gram = statistics.gram();
  const size_t dim = statistics.dim();
  auto about = std::make_shared<TileMatrix<double>>(gram->space(), dim, dim, Shape::kSymmetric);
  const std::vector<int32_t> all = AllOf(gram->cols());
  Gather(*gram, all, all, *about, [&](const Tile<double>& tile, size_t i, size_t j) {
    const double* of_columns = means.data() + about->cols().begin(j);
    for (size_t r = 0; r < tile.rows; ++r) {
      const double shift =
          static_cast<double>(statistics.tokens()) * means[about->rows().begin(i) + r];
      for (size_t c = 0; c < tile.cols; ++c) tile.row(r)[c] -= shift * of_columns[c];
    }
  });
  return about;
}

}  // namespace struprune
