// Sums over a site's inputs.
#include <memory>
#include <vector>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/results.h"
#include "addon/specs.h"
#include "core/paged_matrix.h"
#include "tiles/metric.h"
#include "tiles/statistics.h"
#include "tiles/strips.h"

namespace struprune::addon {
namespace {

std::shared_ptr<Statistics> StatisticsOf(const Napi::CallbackInfo& info) {
  return GetHandle<Statistics>(info[0], "statistics");
}

// (store, dim, withGram, residualDim, team | null) -> statistics; with a team: of tokens that it
// shares
Napi::Value CreateStatistics(const Napi::CallbackInfo& info) {
  const auto store = GetHandle<PageStore>(info[0], "store");
  const TileSpace space{store->context(), store};
  return MakeHandle(info.Env(), std::make_shared<Statistics>(
                                    space, GetSize(info[1], "dim"), GetBool(info[2], "withGram"),
                                    GetSize(info[3], "residualDim"), GetShare(info[4])));
}

// (statistics) -> {tokens, dim, sums, squares: Float64Array[dim]}
Napi::Value ReadStatistics(const Napi::CallbackInfo& info) {
  const auto statistics = StatisticsOf(info);
  const size_t dim = statistics->dim();
  const auto copy = [&](const double* from) {
    return Doubles(info.Env(), std::vector<double>(from, from + dim));
  };
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("tokens", static_cast<double>(statistics->tokens()));
  result.Set("dim", static_cast<double>(dim));
  result.Set("sums", copy(statistics->sums()));
  result.Set("squares", copy(statistics->squares()));
  return result;
}

// (statistics, Float32Array of whole rows, purpose) -> Promise: adds them to the sums
Napi::Value AddRows(const Napi::CallbackInfo& info) {
  const auto statistics = StatisticsOf(info);
  const auto rows = std::make_shared<const std::vector<float>>(GetFloats(info[1], "rows"));
  const size_t dim = statistics->dim();
  if (dim == 0 || rows->size() % dim != 0) throw BadArgument("these are no whole rows");
  if (statistics->residual_dim() != 0) throw BadArgument("the rows have no residual");
  return RunOn(
      info.Env(), statistics->space().context,
      [=] { statistics->Add(0, rows->size() / dim, rows->data(), nullptr); }, GetPurpose(info[2]));
}

// (statistics, row, count) -> Float64Array[count * dim] of the Gram matrix, a copy
Napi::Value GramRows(const Napi::CallbackInfo& info) {
  const auto statistics = StatisticsOf(info);
  const size_t row = GetSize(info[1], "row"), count = GetSize(info[2], "count");
  if (!statistics->has_gram() || row + count > statistics->dim()) {
    throw BadArgument("rows outside the Gram matrix");
  }
  auto values = Napi::Float64Array::New(info.Env(), count * statistics->dim());
  ReadRows(*statistics->gram(), row, count, values.Data());
  return values;
}

// (statistics) -> Float64Array[residual * dim], the cross products, a copy
Napi::Value CrossProducts(const Napi::CallbackInfo& info) {
  const auto statistics = StatisticsOf(info);
  const size_t rows = statistics->residual_dim();
  if (rows == 0) throw BadArgument("there are no cross products");
  auto values = Napi::Float64Array::New(info.Env(), rows * statistics->dim());
  ReadRows(*statistics->cross(), 0, rows, values.Data());
  return values;
}

// (statistics, matrix, row) -> Promise: G = Gram / tokens as rows [row, row + dim) of a matrix
Napi::Value StoreMetricOf(const Napi::CallbackInfo& info) {
  const auto statistics = StatisticsOf(info);
  const auto matrix = GetHandle<PagedMatrix>(info[1], "matrix");
  const size_t row = GetSize(info[2], "row");
  return RunOn(info.Env(), statistics->space().context,
               [=] { StoreMetric(*statistics, *matrix, row); });
}

}  // namespace

void InitStatistics(Napi::Env env, Napi::Object exports) {
  Export<CreateStatistics>(env, exports, "createStatistics");
  Export<ReadStatistics>(env, exports, "readStatistics");
  Export<AddRows>(env, exports, "addRows");
  Export<GramRows>(env, exports, "gramRows");
  Export<CrossProducts>(env, exports, "crossProducts");
  Export<StoreMetricOf>(env, exports, "storeMetric");
}

}  // namespace struprune::addon
