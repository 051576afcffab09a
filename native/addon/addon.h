// What each file of the addon exports: one file a handle, and some for what needs none.
#pragma once

#include <napi.h>

namespace struprune::addon {

void InitProcess(Napi::Env env, Napi::Object exports);
void InitDevices(Napi::Env env, Napi::Object exports);
void InitNumbers(Napi::Env env, Napi::Object exports);
void InitFiles(Napi::Env env, Napi::Object exports);
void InitEngine(Napi::Env env, Napi::Object exports);
void InitTeam(Napi::Env env, Napi::Object exports);
void InitNeeds(Napi::Env env, Napi::Object exports);
void InitStore(Napi::Env env, Napi::Object exports);
void InitMatrix(Napi::Env env, Napi::Object exports);
void InitStatistics(Napi::Env env, Napi::Object exports);
void InitBlock(Napi::Env env, Napi::Object exports);
void InitEnds(Napi::Env env, Napi::Object exports);
void InitSolver(Napi::Env env, Napi::Object exports);
void InitRefit(Napi::Env env, Napi::Object exports);
void InitAdmm(Napi::Env env, Napi::Object exports);
void InitGaussNewton(Napi::Env env, Napi::Object exports);
void InitAuxiliary(Napi::Env env, Napi::Object exports);
void InitBench(Napi::Env env, Napi::Object exports);

}  // namespace struprune::addon
