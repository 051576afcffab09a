#include "solver_support.h"

#include <cmath>
#include <utility>

#include "tile_support.h"

namespace struprune::test {

void SiteData::Accumulate() {
  gram.assign(in * in, 0);
  sums.assign(in, 0);
  cross.clear();
  residual_sums.clear();
  residual_norm_sq = 0;
  if (!residual.empty()) {
    cross.assign(out * in, 0);
    residual_sums.assign(out, 0);
  }
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t i = 0; i < in; ++i) {
      sums[i] += x[t][i];
      for (size_t j = 0; j < in; ++j) gram[i * in + j] += x[t][i] * x[t][j];
    }
    for (size_t o = 0; !residual.empty() && o < out; ++o) {
      const double r = residual[t][o];
      residual_sums[o] += r;
      residual_norm_sq += r * r;
      for (size_t j = 0; j < in; ++j) cross[o * in + j] += r * x[t][j];
    }
  }
  fisher_flat.clear();
  for (const auto& row : fisher) fisher_flat.insert(fisher_flat.end(), row.begin(), row.end());
}

SiteInput SiteData::Input(const TileSpace& space, double lambda, size_t group) const {
  const auto tiles = [&](const auto& values, size_t rows, size_t cols, Shape shape) {
    using Element = typename std::decay_t<decltype(values)>::value_type;
    std::shared_ptr<TileMatrix<Element>> matrix;
    if (values.empty()) return matrix;
    matrix = std::make_shared<TileMatrix<Element>>(space, rows, cols, shape);
    WriteRows(*matrix, 0, rows, values.data());
    return matrix;
  };
  SiteInput input;
  input.tokens = static_cast<double>(tokens);
  input.gram = tiles(gram, in, in, Shape::kSymmetric);
  input.sums = sums;
  input.weight = tiles(weight, out, in, Shape::kFull);
  input.bias = bias;
  input.cross = tiles(cross, out, in, Shape::kFull);
  input.residual_sums = residual_sums;
  input.residual_norm_sq = residual_norm_sq;
  input.fisher = tiles(fisher_flat, out, out, Shape::kSymmetric);
  input.lambda = lambda;
  input.group = group;
  return input;
}

SiteData RandomSite(const SiteShape& shape) {
  std::mt19937_64 random(shape.seed);
  std::normal_distribution<double> normal;
  SiteData data;
  data.tokens = shape.tokens;
  data.in = shape.in;
  data.out = shape.out;
  Matrix mix(shape.in, std::vector<double>(shape.in));
  std::vector<double> scale(shape.in), mean(shape.in);
  for (size_t i = 0; i < shape.in; ++i) {
    for (auto& value : mix[i]) value = 0.5 * normal(random) / std::sqrt(double(shape.in));
    mix[i][i] += 1;
    scale[i] = std::exp(0.7 * normal(random));
    mean[i] = 0.5 * normal(random);
  }
  for (size_t t = 0; t < shape.tokens; ++t) {
    std::vector<double> raw(shape.in), row(shape.in, 0.0);
    for (auto& value : raw) value = normal(random);
    for (size_t i = 0; i < shape.in; ++i) {
      for (size_t k = 0; k < shape.in; ++k) row[i] += mix[i][k] * raw[k];
      row[i] = (row[i] + mean[i]) * scale[i];
    }
    data.x.push_back(row);
    if (shape.residual) {
      std::vector<double> r(shape.out);
      for (size_t o = 0; o < shape.out; ++o) {
        r[o] = 0.3 * normal(random) + 0.2 * row[o % shape.in] + 0.1;
      }
      data.residual.push_back(r);
    }
  }
  for (size_t c = 0; c < shape.in * shape.out; ++c) {
    data.weight.push_back(static_cast<float>(normal(random)));
  }
  for (size_t o = 0; shape.bias && o < shape.out; ++o) {
    data.bias.push_back(static_cast<float>(normal(random)));
  }
  if (shape.fisher) {
    Matrix root(shape.out, std::vector<double>(shape.out));
    for (auto& row : root) {
      for (auto& value : row) value = normal(random);
    }
    data.fisher.assign(shape.out, std::vector<double>(shape.out, 0.0));
    for (size_t a = 0; a < shape.out; ++a) {
      for (size_t b = 0; b < shape.out; ++b) {
        for (size_t k = 0; k < shape.out; ++k) data.fisher[a][b] += root[a][k] * root[b][k];
      }
    }
  }
  data.Accumulate();
  return data;
}

TileSpace SmallTiles(size_t threads) { return MakeSpace(3, 0, threads); }

std::vector<float> WeightOf(const Refit& refit) {
  std::vector<float> values(refit.weight.rows().size() * refit.weight.cols().size());
  ReadRows(refit.weight, 0, refit.weight.rows().size(), values.data());
  return values;
}

Matrix Solve(Matrix a, Matrix b) {
  const size_t n = a.size();
  for (size_t col = 0; col < n; ++col) {
    size_t pivot = col;
    for (size_t r = col + 1; r < n; ++r) {
      if (std::abs(a[r][col]) > std::abs(a[pivot][col])) pivot = r;
    }
    std::swap(a[col], a[pivot]);
    std::swap(b[col], b[pivot]);
    for (size_t r = 0; r < n; ++r) {
      if (r == col) continue;
      const double factor = a[r][col] / a[col][col];
      for (size_t c = col; c < n; ++c) a[r][c] -= factor * a[col][c];
      for (size_t c = 0; c < b[r].size(); ++c) b[r][c] -= factor * b[col][c];
    }
  }
  for (size_t r = 0; r < n; ++r) {
    for (auto& value : b[r]) value /= a[r][r];
  }
  return b;
}

double ErrorFromTokens(const SiteData& data, const Matrix& weight, const std::vector<double>& shift,
                       bool fisher) {
  double total = 0;
  for (size_t t = 0; t < data.tokens; ++t) {
    std::vector<double> miss(data.out);
    for (size_t o = 0; o < data.out; ++o) {
      miss[o] = shift[o];
      if (!data.residual.empty()) miss[o] -= data.residual[t][o];
      for (size_t j = 0; j < data.in; ++j) {
        miss[o] += data.x[t][j] * (weight[o][j] - data.weight[o * data.in + j]);
      }
    }
    for (size_t a = 0; a < data.out; ++a) {
      if (!fisher) total += miss[a] * miss[a];
      for (size_t b = 0; fisher && b < data.out; ++b)
        total += data.fisher[a][b] * miss[a] * miss[b];
    }
  }
  return total;
}

OracleRefit RefitByElimination(const SiteData& data, const std::vector<uint8_t>& keep,
                               double lambda, bool bias, bool fisher) {
  // Design matrix with a column of ones when a bias is fitted; the ridge pulls towards W.
  const double n = static_cast<double>(data.tokens);
  std::vector<double> ridge(data.in);
  double mean_diagonal = 0;
  for (size_t j = 0; j < data.in; ++j) {
    double mean = 0, square = 0;
    for (const auto& row : data.x) mean += row[j] / n;
    for (const auto& row : data.x) square += std::pow(row[j] - (bias ? mean : 0), 2);
    ridge[j] = square;
    mean_diagonal += square / static_cast<double>(data.in);
  }
  for (auto& value : ridge) value = lambda * value + 1e-6 * mean_diagonal;

  std::vector<size_t> kept;
  for (size_t j = 0; j < data.in; ++j) {
    if (keep[j]) kept.push_back(j);
  }
  const size_t k = kept.size(), size = k + (bias ? 1 : 0);
  Matrix normal(size, std::vector<double>(size, 0.0)),
      right(size, std::vector<double>(data.out, 0.0));
  for (size_t t = 0; t < data.tokens; ++t) {
    std::vector<double> row;
    for (const size_t j : kept) row.push_back(data.x[t][j]);
    if (bias) row.push_back(1);
    for (size_t o = 0; o < data.out; ++o) {
      double target = data.residual.empty() ? 0 : data.residual[t][o];
      for (size_t j = 0; j < data.in; ++j) target += data.x[t][j] * data.weight[o * data.in + j];
      for (size_t a = 0; a < size; ++a) right[a][o] += row[a] * target;
    }
    for (size_t a = 0; a < size; ++a) {
      for (size_t b = 0; b < size; ++b) normal[a][b] += row[a] * row[b];
    }
  }
  for (size_t a = 0; a < k; ++a) {
    normal[a][a] += ridge[kept[a]];
    for (size_t o = 0; o < data.out; ++o) {
      right[a][o] += ridge[kept[a]] * data.weight[o * data.in + kept[a]];
    }
  }
  const Matrix solution = Solve(normal, right);
  OracleRefit refit;
  refit.weight.assign(data.out, std::vector<double>(data.in, 0.0));
  refit.shift.assign(data.out, 0.0);
  for (size_t o = 0; o < data.out; ++o) {
    for (size_t a = 0; a < k; ++a) refit.weight[o][kept[a]] = solution[a][o];
    if (bias) refit.shift[o] = solution[k][o];
  }
  refit.error = ErrorFromTokens(data, refit.weight, refit.shift, fisher);
  refit.penalised = refit.error;
  for (size_t j = 0; j < data.in; ++j) {
    for (size_t a = 0; a < data.out; ++a) {
      for (size_t b = 0; b < data.out; ++b) {
        const double metric = fisher ? data.fisher[a][b] : (a == b ? 1.0 : 0.0);
        refit.penalised += metric * ridge[j] * (refit.weight[a][j] - data.weight[a * data.in + j]) *
                           (refit.weight[b][j] - data.weight[b * data.in + j]);
      }
    }
  }
  return refit;
}

std::vector<uint8_t> ColumnMask(const std::vector<uint8_t>& keep_groups, size_t group) {
  std::vector<uint8_t> columns;
  for (const uint8_t keep : keep_groups) columns.insert(columns.end(), group, keep);
  return columns;
}

}  // namespace struprune::test
