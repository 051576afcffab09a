// A matrix [rows, cols] of floats in pages of a store.
#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/results.h"
#include "core/copy_rows.h"
#include "core/paged_matrix.h"
#include "model/energy.h"

namespace struprune::addon {
namespace {

std::shared_ptr<PagedMatrix> MatrixOf(const Napi::CallbackInfo& info) {
  return GetHandle<PagedMatrix>(info[0], "matrix");
}

// (store, rows, cols, pageRows, team | null) -> matrix; with a team: of tokens that it shares
Napi::Value CreateMatrix(const Napi::CallbackInfo& info) {
  const size_t rows = GetSize(info[1], "rows"), cols = GetSize(info[2], "cols");
  const size_t page_rows = GetSize(info[3], "pageRows");
  if (page_rows == 0) throw BadArgument("a page has at least one row");
  if (cols > SIZE_MAX / sizeof(float) / page_rows) throw BadArgument("a page is too large");
  const auto store = GetHandle<PageStore>(info[0], "store");
  return MakeHandle(info.Env(),
                    std::make_shared<PagedMatrix>(store, rows, cols, page_rows, GetShare(info[4])));
}

// (matrix) -> {rows, cols, pageRows}
Napi::Value MatrixShape(const Napi::CallbackInfo& info) {
  const auto matrix = MatrixOf(info);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("rows", static_cast<double>(matrix->rows()));
  result.Set("cols", static_cast<double>(matrix->cols()));
  result.Set("pageRows", static_cast<double>(matrix->page_rows()));
  return result;
}

// (matrix, row, count) -> Float32Array, a copy
Napi::Value MatrixRows(const Napi::CallbackInfo& info) {
  const auto matrix = MatrixOf(info);
  const size_t row = GetSize(info[1], "row"), count = GetSize(info[2], "count");
  if (row + count > matrix->rows()) throw BadArgument("rows outside the matrix");
  auto values = Napi::Float32Array::New(info.Env(), count * matrix->cols());
  matrix->Read(row, count, values.Data());
  return values;
}

// (matrix, row, Float32Array of whole rows)
Napi::Value SetMatrixRows(const Napi::CallbackInfo& info) {
  const auto matrix = MatrixOf(info);
  const size_t row = GetSize(info[1], "row");
  const auto values = GetFloats(info[2], "values");
  if (matrix->cols() == 0) throw BadArgument("the matrix has no columns");
  const size_t count = values.size() / matrix->cols();
  if (values.size() % matrix->cols() != 0 || row + count > matrix->rows()) {
    throw BadArgument("rows outside the matrix");
  }
  matrix->Write(row, count, values.data());
  return info.Env().Undefined();
}

// (from, to, {from, to, count}?) -> Promise: copies those rows, or all
Napi::Value CopyMatrix(const Napi::CallbackInfo& info) {
  const auto from = MatrixOf(info);
  const auto to = GetHandle<PagedMatrix>(info[1], "to");
  // Of tokens that ranks share those that are here.
  const RowRange held = from->held();
  size_t from_row = held.begin, to_row = held.begin, rows = held.size();
  if (info[2].IsObject()) {
    const Napi::Object part = GetObject(info[2], "rows");
    from_row = GetSize(part.Get("from"), "from"), to_row = GetSize(part.Get("to"), "to");
    rows = GetSize(part.Get("count"), "count");
  } else if (to->rows() != from->rows() || to->held() != held) {
    throw BadArgument("shapes differ");
  }
  if (from->cols() != to->cols()) throw BadArgument("shapes differ");
  if (from_row + rows > from->rows() || to_row + rows > to->rows()) {
    throw BadArgument("rows outside a matrix");
  }
  // Rows go where their windows are cut alike.
  to->Cut(from->cut());
  const auto context = from->store().context();
  return RunOn(info.Env(), context,
               [=] { CopyRows(*context, *from, from_row, *to, to_row, rows); });
}

// (matrix) -> Promise<sum of all squares>
Napi::Value EnergyOf(const Napi::CallbackInfo& info) {
  const auto matrix = MatrixOf(info);
  const auto context = matrix->store().context();
  return ComputeOn(info.Env(), context, [=] { return Energy(*context, *matrix); }, Number);
}

}  // namespace

void InitMatrix(Napi::Env env, Napi::Object exports) {
  Export<CreateMatrix>(env, exports, "createMatrix");
  Export<MatrixShape>(env, exports, "matrixShape");
  Export<MatrixRows>(env, exports, "matrixRows");
  Export<SetMatrixRows>(env, exports, "setMatrixRows");
  Export<CopyMatrix>(env, exports, "copyMatrix");
  Export<EnergyOf>(env, exports, "energyOf");
}

}  // namespace struprune::addon
