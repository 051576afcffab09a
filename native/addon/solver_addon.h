// The JavaScript classes Solver, Admm and Refit (lib/solver/native-solver.ts has their types).
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "solver/refit.h"
#include "solver/site_problem.h"

namespace struprune::addon {

// Defines the classes. `exports` receives `solverFromSums(threads, memory, sums)`, which makes a
// solver of its own out of typed arrays, for tests and small uses; the engine's factory calls
// CreateSolver.
void InitSolver(Napi::Env env, Napi::Object exports);

// A promise of a Solver. `collect` runs on the worker thread.
Napi::Value CreateSolver(Napi::Env env, std::shared_ptr<Context> context,
                         std::function<SiteInput()> collect);

// The result behind a JavaScript Refit object. Throws ERR_ARGUMENT for any other value.
std::shared_ptr<const Refit> GetRefit(const Napi::Value& value);

}  // namespace struprune::addon
