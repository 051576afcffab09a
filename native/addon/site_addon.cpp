// Where a block meets the solver: a site's sums become a Solver, a Refit becomes the block's output
// map.
#include "addon/site_addon.h"

#include "addon/handles.h"
#include "addon/solver_addon.h"
#include "addon/specs.h"
#include "core/paged_matrix.h"
#include "model/block.h"
#include "tiles/statistics.h"
#include "solver/columns.h"

namespace struprune::addon {
namespace {

// Keeps alive what the spans of a SiteInput point to.
struct SiteOwner {
  std::shared_ptr<Statistics> statistics;
  std::vector<float> weight, bias;
  std::vector<double> metric;
};

// (statistics, matrix, row): G = Gram / tokens as rows [row, row + dim) of a matrix, to be kept in
// scratch
Napi::Value StoreMetric(const Napi::CallbackInfo& info) {
  const auto statistics = GetHandle<Statistics>(info[0], "statistics");
  const auto matrix = GetHandle<PagedMatrix>(info[1], "matrix");
  const size_t row = GetSize(info[2], "row"), dim = statistics->dim();
  if (!statistics->has_gram() || matrix->cols() != dim || row + dim > matrix->rows()) {
    throw BadArgument("the matrix does not fit the metric");
  }
  std::vector<float> values(dim * dim);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] =
        static_cast<float>(statistics->gram()[i] / static_cast<double>(statistics->tokens()));
  }
  matrix->Write(row, dim, values.data());
  return info.Env().Undefined();
}

// (engine, statistics, block, site, {lambda, group, metric: {matrix, row} | null}) ->
// Promise<Solver>
Napi::Value SolverForSite(const Napi::CallbackInfo& info) {
  const auto context = GetHandle<Context>(info[0], "engine");
  const auto statistics = GetHandle<Statistics>(info[1], "statistics");
  const auto block = GetHandle<Block>(info[2], "block");
  const SiteKind site = GetSite(info[3]);
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
  if (!statistics->has_gram() || statistics->dim() != SiteWidth(block->spec(), site) ||
      (metric &&
       (metric->cols() != block->spec().hidden || metric_row + metric->cols() > metric->rows()))) {
    throw BadArgument("these statistics do not belong to the site");
  }
  return CreateSolver(info.Env(), context, [=]() -> SiteInput {
    auto owner = std::make_shared<SiteOwner>();
    owner->statistics = statistics;
    const Matrix& weight = block->matrix(OutputRole(site));
    owner->weight.assign(weight.values.data(), weight.values.data() + weight.values.size());
    if (block->has(OutputBiasRole(site))) {
      const Matrix& bias = block->matrix(OutputBiasRole(site));
      owner->bias.assign(bias.values.data(), bias.values.data() + bias.values.size());
    }
    const size_t in = weight.cols, out = weight.rows;
    SiteInput input;
    input.in = in;
    input.out = out;
    input.tokens = static_cast<double>(statistics->tokens());
    input.gram = {statistics->gram(), in * in};
    input.sums = {statistics->sums(), in};
    input.weight = owner->weight;
    input.bias = owner->bias;
    if (statistics->residual_dim() != 0) {
      input.cross = {statistics->cross(), out * in};
      input.residual_sums = {statistics->residual_sums(), out};
      input.residual_norm_sq = statistics->residual_energy();
    }
    if (metric) {
      std::vector<float> values(out * out);
      metric->Read(metric_row, out, values.data());
      owner->metric.assign(values.begin(), values.end());
      input.fisher = owner->metric;
    }
    input.lambda = lambda;
    input.group = group;
    input.owner = owner;
    return input;
  });
}

// (block, site, refit): the refit's weight and bias become the block's, not yet rounded
Napi::Value SetOutput(const Napi::CallbackInfo& info) {
  const auto block = GetHandle<Block>(info[0], "block");
  const auto refit = GetRefit(info[2]);
  block->SetOutput(GetSite(info[1]), refit->weight.span(), refit->bias.span());
  return info.Env().Undefined();
}

// (block, site) -> {weightAbsMean, weightNormSq: Float64Array[width]} of the output map's columns
Napi::Value OutputColumns(const Napi::CallbackInfo& info) {
  const auto block = GetHandle<Block>(info[0], "block");
  const Matrix& weight = block->matrix(OutputRole(GetSite(info[1])));
  const WeightColumns columns = MeasureWeight(weight.rows, weight.cols, weight.values.data());
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("weightAbsMean",
             CopyToTyped<double, Napi::Float64Array>(info.Env(), columns.abs_mean));
  result.Set("weightNormSq", CopyToTyped<double, Napi::Float64Array>(info.Env(), columns.norm_sq));
  return result;
}

// (block, site, means: Float64Array[width]): adds W means to the output map's bias, made where
// there was none. Entries of columns that stay must be 0.
Napi::Value AddMeanBias(const Napi::CallbackInfo& info) {
  const auto block = GetHandle<Block>(info[0], "block");
  const SiteKind site = GetSite(info[1]);
  const auto means = info[2].As<Napi::Float64Array>();
  const Matrix& weight = block->matrix(OutputRole(site));
  if (means.ElementLength() != weight.cols) throw BadArgument("one mean a column");
  std::vector<float> bias(weight.rows, 0.0f);
  for (size_t i = 0; i < weight.rows; ++i) {
    double sum = block->has(OutputBiasRole(site)) ? block->data(OutputBiasRole(site))[i] : 0.0;
    for (size_t j = 0; j < weight.cols; ++j) sum += weight.values[i * weight.cols + j] * means[j];
    bias[i] = static_cast<float>(sum);
  }
  block->SetBias(site, bias);
  return info.Env().Undefined();
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
