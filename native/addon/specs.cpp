#include "addon/specs.h"

#include "addon/arguments.h"
#include "addon/decode.h"
#include "addon/handles.h"
#include "addon/plain_value.h"
#include "team/mpi_team.h"

namespace struprune::addon {
namespace {

// Handles of opened files.
std::vector<std::shared_ptr<MappedFile>> FilesIn(const Napi::Array& handles) {
  std::vector<std::shared_ptr<MappedFile>> files;
  for (uint32_t i = 0; i < handles.Length(); ++i) {
    files.push_back(GetHandle<MappedFile>(handles.Get(i), "file"));
  }
  return files;
}

}  // namespace

Dtype GetDtype(const Napi::Value& value) { return DecodeDtype(PlainOf(value)); }

Stored GetStored(const Napi::Value& value) { return DecodeStored(PlainOf(value)); }

BlockSpec GetBlockSpec(const Napi::Value& value) { return DecodeBlockSpec(PlainOf(value)); }

std::optional<TensorSource> GetTensor(const Napi::Object& refs, std::string_view role,
                                      const Napi::Array& files) {
  return DecodeTensor(PlainOf(refs), role, FilesIn(files));
}

BlockSources GetBlockTensors(const BlockSpec& spec, const Napi::Object& refs,
                             const Napi::Array& files) {
  return DecodeBlockTensors(spec, PlainOf(refs), FilesIn(files));
}

EndsSpec GetEndsSpec(const Napi::Object& object, const Napi::Object& refs,
                     const Napi::Array& files) {
  return DecodeEndsSpec(PlainOf(object), PlainOf(refs), FilesIn(files));
}

TensorId GetTensorId(const Block& block, const Napi::Value& value) {
  return TensorNamed(block.spec(), GetString(value, "tensor"));
}

size_t GetSite(const BlockSpec& spec, const Napi::Value& value) {
  return SublayerNamed(spec, GetString(value, "site"));
}

Sublayer GetSublayer(const Block& block, const Napi::Value& site) {
  return block.sublayer(GetSite(block.spec(), site));
}

AllowedPrecision GetPrecision(const Napi::Value& value) {
  const std::string name = GetString(value, "precision");
  if (name == "bf16") return AllowedPrecision::kBf16;
  if (name == "bf16x3") return AllowedPrecision::kBf16x3;
  if (name == "f32") return AllowedPrecision::kF32;
  throw BadArgument("unknown precision '" + name + "'");
}

Purpose GetPurpose(const Napi::Value& value) {
  const std::string name = GetString(value, "purpose");
  if (name == "measuring") return Purpose::kMeasuring;
  if (name == "calibrating") return Purpose::kCalibrating;
  if (name == "searching") return Purpose::kSearching;
  throw BadArgument("unknown purpose '" + name + "'");
}

std::shared_ptr<Statistics> GetStatistics(const Napi::Object& options, const char* key) {
  const Napi::Value value = options.Get(key);
  return value.IsUndefined() ? nullptr : GetHandle<Statistics>(value, key);
}

Share GetShare(const Napi::Value& value) {
  if (value.IsUndefined() || value.IsNull()) return {};
  const auto team = GetHandle<MpiTeam>(value, "team");
  if (team->size() == 1) return {};
  return {static_cast<size_t>(team->rank()), static_cast<size_t>(team->size()), team};
}

}  // namespace struprune::addon
