// The ranks of a run.
#include <optional>
#include <string>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/results.h"
#include "team/mpi_team.h"

namespace struprune::addon {
namespace {

std::shared_ptr<MpiTeam> TeamOf(const Napi::CallbackInfo& info) {
  return GetHandle<MpiTeam>(info[0], "team");
}

Message GetMessage(const Napi::Value& value) {
  const auto bytes =
      GetTyped<uint8_t, Napi::Uint8Array>(value, napi_uint8_array, "the message", "a Uint8Array");
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, data + bytes.size()};
}

// exchange() on a worker thread, which gives a message
template <typename Exchange>
Napi::Value RunExchange(Napi::Env env, Exchange exchange) {
  const auto given = std::make_shared<Message>();
  return RunAsync(
      env, [given, exchange = std::move(exchange)] { *given = exchange(); },
      [given](Napi::Env main) { return Bytes(main, *given); });
}

// () -> Promise<{handle, rank, size, library}>: opens MPI, which may wait for all ranks
Napi::Value JoinTeam(const Napi::CallbackInfo& info) {
  const auto team = std::make_shared<std::shared_ptr<MpiTeam>>();
  return RunAsync(
      info.Env(), [team] { *team = MpiTeam::Join(); },
      [team](Napi::Env env) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("handle", MakeHandle(env, *team));
        result.Set("rank", (*team)->rank());
        result.Set("size", (*team)->size());
        result.Set("library", (*team)->Describe());
        return result;
      });
}

// (team, root, bytes) -> Promise<bytes>: those of the root, on every rank
Napi::Value BroadcastBytes(const Napi::CallbackInfo& info) {
  const auto root = static_cast<int>(GetSize(info[1], "root"));
  return RunExchange(info.Env(), [team = TeamOf(info), root, message = GetMessage(info[2])] {
    return Broadcast(*team, root, message);
  });
}

// (team, {code, found, mend} | null) -> Promise: a vote on whether to go on, which throws the
// objection of the first rank that has one, but on that one
Napi::Value VoteOf(const Napi::CallbackInfo& info) {
  std::optional<Error> objection;
  if (info[1].IsObject()) {
    const Napi::Object error = GetObject(info[1], "the objection");
    const auto text = [&](const char* key) { return GetString(error.Get(key), key); };
    objection.emplace(text("code"), text("found"), text("mend"));
  }
  return RunAsync(
      info.Env(), [team = TeamOf(info), objection] { Agree(*team, objection); }, Nothing);
}

// (team): a call begins
Napi::Value BeginCall(const Napi::CallbackInfo& info) {
  TeamOf(info)->BeginCall();
  return info.Env().Undefined();
}

// (team) -> whether a vote has ended the call
Napi::Value HasEnded(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), TeamOf(info)->ended);
}

// (team) -> Promise: tells the others that the call of this rank has ended by an error
Napi::Value Warn(const Napi::CallbackInfo& info) {
  return RunAsync(info.Env(), [team = TeamOf(info)] { team->Warn(); }, Nothing);
}

// (team) -> whether another rank has told so
Napi::Value IsWarned(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), TeamOf(info)->IsWarned());
}

// (team) -> {sent, sums, seconds}: of this rank so far
Napi::Value TeamTraffic(const Napi::CallbackInfo& info) {
  const Traffic& traffic = TeamOf(info)->traffic;
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("sent", static_cast<double>(traffic.sent));
  result.Set("sums", static_cast<double>(traffic.sums));
  result.Set("seconds", traffic.seconds);
  return result;
}

// (team, settled): the end of MPI in this process; of all ranks where they may wait for this one
Napi::Value LeaveTeam(const Napi::CallbackInfo& info) {
  TeamOf(info)->Leave(GetBool(info[1], "settled"));
  return info.Env().Undefined();
}

}  // namespace

void InitTeam(Napi::Env env, Napi::Object exports) {
  Export<JoinTeam>(env, exports, "joinTeam");
  Export<BroadcastBytes>(env, exports, "broadcast");
  Export<VoteOf>(env, exports, "vote");
  Export<BeginCall>(env, exports, "beginCall");
  Export<HasEnded>(env, exports, "hasEnded");
  Export<Warn>(env, exports, "warn");
  Export<IsWarned>(env, exports, "isWarned");
  Export<TeamTraffic>(env, exports, "teamTraffic");
  Export<LeaveTeam>(env, exports, "leaveTeam");
}

}  // namespace struprune::addon
