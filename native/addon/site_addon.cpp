// Where a block meets the solver: a site's sums become a Solver, a Refit becomes the block's output
// map.
#include "addon/site_addon.h"

#include <algorithm>

#include "addon/handles.h"
#include "addon/solver_addon.h"
#include "addon/specs.h"
#include "core/paged_matrix.h"
#include "model/block.h"
#include "solver/columns.h"
#include "tiles/statistics.h"
#include "tiles/strips.h"

namespace struprune::addon {
namespace {

// Rows that are copied at a time.
constexpr size_t kRows = 64;

template <typename Copy>
void InStrips(size_t rows, Copy copy) {
  for (size_t row = 0; row < rows; row += kRows) copy(row, std::min(kRows, rows - row));
}

// (engine, statistics, matrix, row) -> Promise: G = Gram / tokens as rows [row, row + dim) of a
// matrix, to be kept in scratch
Napi::Value StoreMetric(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto statistics = GetHandle<Statistics>(info[1], "statistics");
  const auto matrix = GetHandle<PagedMatrix>(info[2], "matrix");
  const size_t start = GetSize(info[3], "row"), dim = statistics->dim();
  if (!statistics->has_gram() || matrix->cols() != dim || start + dim > matrix->rows()) {
    throw BadArgument("the matrix does not fit the metric");
  }
  return RunOn(
      info.Env(), context,
      [=] {
        const auto tokens = static_cast<double>(statistics->tokens());
        std::vector<double> sums(kRows * dim);
        std::vector<float> values(kRows * dim);
        InStrips(dim, [&](size_t row, size_t count) {
          context->CheckAbort();
          ReadRows(*statistics->gram(), row, count, sums.data());
          for (size_t i = 0; i < count * dim; ++i) {
            values[i] = static_cast<float>(sums[i] / tokens);
          }
          matrix->Write(start + row, count, values.data());
        });
      },
      Nothing);
}

// A metric as StoreMetric left it.
std::shared_ptr<const TileMatrix<double>> LoadMetric(const TileSpace& space,
                                                     const PagedMatrix& matrix, size_t start) {
  const size_t dim = matrix.cols();
  auto metric = std::make_shared<TileMatrix<double>>(space, dim, dim, Shape::kSymmetric);
  std::vector<float> values(kRows * dim);
  InStrips(dim, [&](size_t row, size_t count) {
    matrix.Read(start + row, count, values.data());
    WriteRows(*metric, row, count, values.data());
  });
  return metric;
}

std::shared_ptr<const TileMatrix<float>> LoadWeight(const TileSpace& space, PagedMatrix& weight) {
  return std::make_shared<TileMatrix<float>>(FromStrips<float>(space, weight));
}

// (engine, statistics, block, site, {lambda, group, metric: {matrix, row} | null}) ->
// Promise<Solver>
Napi::Value SolverForSite(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto statistics = GetHandle<Statistics>(info[1], "statistics");
  const auto block = GetHandle<Block>(info[2], "block");
  const Sublayer layer = GetSublayer(*block, info[3]);
  const auto options = GetObject(info[4], "options");
  const double lambda = GetNumber(options.Get("lambda"), "lambda");
  const size_t group = GetSize(options.Get("group"), "group");
  std::shared_ptr<PagedMatrix> metric;
  size_t metric_row = 0;
  if (options.Get("metric").IsObject()) {
    const auto place = options.Get("metric").As<Napi::Object>();
    metric = GetHandle<PagedMatrix>(place.Get("matrix"), "metric");
    metric_row = GetSize(place.Get("row"), "row");
  }
  if (!statistics->has_gram() || statistics->dim() != layer.width() ||
      (metric &&
       (metric->cols() != layer.hidden() || metric_row + metric->cols() > metric->rows()))) {
    throw BadArgument("these statistics do not belong to the site");
  }
  return CreateSolver(info.Env(), context, [=, block = block]() -> SiteInput {
    const TileSpace& space = statistics->space();
    SiteInput input;
    input.tokens = static_cast<double>(statistics->tokens());
    input.gram = statistics->gram();
    input.sums.assign(statistics->sums(), statistics->sums() + statistics->dim());
    input.weight = LoadWeight(space, *layer.matrix(Part::kOut));
    if (layer.has(Part::kOutBias)) {
      const auto bias = layer.vector(Part::kOutBias);
      input.bias.assign(bias.begin(), bias.end());
    }
    if (statistics->residual_dim() != 0) {
      input.cross = statistics->cross();
      input.residual_sums.assign(statistics->residual_sums(),
                                 statistics->residual_sums() + statistics->residual_dim());
      input.residual_norm_sq = statistics->residual_energy();
    }
    if (metric) input.fisher = LoadMetric(space, *metric, metric_row);
    input.lambda = lambda;
    input.group = group;
    return input;
  });
}

// (engine, block, site, refit) -> Promise: the refit's weight and bias become the block's, not yet
// rounded
Napi::Value SetOutput(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const size_t site = GetSite(block->spec(), info[2]);
  const auto refit = GetRefit(info[3]);
  return RunOn(
      info.Env(), context, [=] { block->SetOutput(site, refit->weight, refit->bias); }, Nothing);
}

// (engine, block, site) -> Promise<{weightAbsMean, weightNormSq: Float64Array[width]}> of the
// output map's columns
Napi::Value OutputColumns(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const TensorId out{GetSite(block->spec(), info[2]), Part::kOut};
  auto columns = std::make_shared<WeightColumns>();
  return RunOn(
      info.Env(), context,
      [=] {
        WeightColumnSums sums(block->shape(out).cols);
        block->EachStrip(
            out, [&](size_t, size_t count, const float* values) { sums.Add(count, values); });
        *columns = sums.Finish();
      },
      [columns](Napi::Env env) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("weightAbsMean",
                   CopyToTyped<double, Napi::Float64Array>(env, columns->abs_mean));
        result.Set("weightNormSq", CopyToTyped<double, Napi::Float64Array>(env, columns->norm_sq));
        return result;
      });
}

// (engine, block, site, means: Float64Array[width]) -> Promise: adds W means to the output map's
// bias, made where there was none. Entries of columns that stay must be 0.
Napi::Value AddMeanBias(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  const auto block = GetHandle<Block>(info[1], "block");
  const size_t site = GetSite(block->spec(), info[2]);
  const auto given = GetFloat64Array(info[3], "means");
  return RunOn(
      info.Env(), context,
      [=, means = std::vector<double>(given.Data(), given.Data() + given.ElementLength())] {
        const TensorId out{site, Part::kOut}, bias{site, Part::kOutBias};
        const auto [rows, cols] = block->shape(out);
        if (means.size() != cols) throw BadArgument("one mean a column");
        std::vector<double> sums(rows, 0.0);
        if (block->has(bias)) {
          std::ranges::copy(block->vector(bias), sums.begin());
        }
        block->EachStrip(out, [&](size_t first, size_t count, const float* w) {
          for (size_t i = 0; i < count; ++i) {
            for (size_t j = 0; j < means.size(); ++j) {
              sums[first + i] += w[i * means.size() + j] * means[j];
            }
          }
        });
        block->SetBias(site, std::vector<float>(sums.begin(), sums.end()));
      },
      Nothing);
}

}  // namespace

void InitSite(Napi::Env env, Napi::Object exports) {
  Export<StoreMetric>(env, exports, "storeMetric");
  Export<SolverForSite>(env, exports, "createSolver");
  Export<SetOutput>(env, exports, "setOutput");
  Export<OutputColumns>(env, exports, "outputColumns");
  Export<AddMeanBias>(env, exports, "addMeanBias");
}

}  // namespace struprune::addon
