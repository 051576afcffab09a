// The ranks of a run.
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

// (team, bytes) -> Promise<bytes>: those of the first rank that gives some
Napi::Value VoteOf(const Napi::CallbackInfo& info) {
  return RunExchange(info.Env(), [team = TeamOf(info), objection = GetMessage(info[1])] {
    return Vote(*team, objection);
  });
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
  Export<LeaveTeam>(env, exports, "leaveTeam");
}

}  // namespace struprune::addon
