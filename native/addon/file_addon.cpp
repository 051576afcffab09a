// Checkpoint files: their headers, and tensors that are in no block.
#include <string>
#include <string_view>
#include <vector>

#include "addon/addon.h"
#include "addon/handles.h"
#include "addon/jobs.h"
#include "addon/results.h"
#include "addon/specs.h"
#include "core/mapped_file.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

namespace struprune::addon {
namespace {

// An own property whatever the key: a plain assignment to "__proto__" would change the prototype.
void Define(Napi::Object object, std::string_view key, Napi::Value value) {
  const Napi::Env env = object.Env();
  napi_property_descriptor property{};
  property.name = Napi::String::New(env, key.data(), key.size());
  property.value = value;
  property.attributes =
      static_cast<napi_property_attributes>(napi_writable | napi_enumerable | napi_configurable);
  if (napi_define_properties(env, object, 1, &property) != napi_ok) throw Napi::Error::New(env);
}

Napi::String ToJs(Napi::Env env, std::string_view text) {
  return Napi::String::New(env, text.data(), text.size());
}

// A number where it is exact, else a BigInt.
template <typename T>
Napi::Value IntegerToJs(Napi::Env env, T value) {
  constexpr T kSafe = T{9007199254740991};
  if constexpr (std::is_signed_v<T>) {
    if (value < -kSafe || value > kSafe) return Napi::BigInt::New(env, value);
  } else {
    if (value > kSafe) return Napi::BigInt::New(env, value);
  }
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Array TensorsToJs(Napi::Env env, const std::vector<TensorInfo>& tensors) {
  Napi::Array array = Napi::Array::New(env, tensors.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    const Napi::HandleScope scope(env);
    const TensorInfo& tensor = tensors[i];
    Napi::Array shape = Napi::Array::New(env, tensor.shape.size());
    for (uint32_t d = 0; d < tensor.shape.size(); ++d) {
      shape.Set(d, static_cast<double>(tensor.shape[d]));
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", ToJs(env, tensor.name));
    object.Set("dtype", ToJs(env, tensor.dtype));
    object.Set("shape", shape);
    object.Set("offset", static_cast<double>(tensor.offset));
    object.Set("bytes", static_cast<double>(tensor.bytes));
    array.Set(i, object);
  }
  return array;
}

// The entry was checked by ParseGguf: an array has no arrays in it.
Napi::Value GgufToJs(Napi::Env env, GgufReader& in, GgufType type) {
  switch (type) {
    case GgufType::kUint8:
      return Napi::Number::New(env, in.Read<uint8_t>("a value"));
    case GgufType::kInt8:
      return Napi::Number::New(env, in.Read<int8_t>("a value"));
    case GgufType::kUint16:
      return Napi::Number::New(env, in.Read<uint16_t>("a value"));
    case GgufType::kInt16:
      return Napi::Number::New(env, in.Read<int16_t>("a value"));
    case GgufType::kUint32:
      return Napi::Number::New(env, in.Read<uint32_t>("a value"));
    case GgufType::kInt32:
      return Napi::Number::New(env, in.Read<int32_t>("a value"));
    case GgufType::kUint64:
      return IntegerToJs(env, in.Read<uint64_t>("a value"));
    case GgufType::kInt64:
      return IntegerToJs(env, in.Read<int64_t>("a value"));
    case GgufType::kFloat32:
      return Napi::Number::New(env, in.Read<float>("a value"));
    case GgufType::kFloat64:
      return Napi::Number::New(env, in.Read<double>("a value"));
    case GgufType::kBool:
      return Napi::Boolean::New(env, in.Read<uint8_t>("a value") != 0);
    case GgufType::kString:
      return ToJs(env, in.ReadString("a string"));
    case GgufType::kArray:
      break;
  }
  const auto [element, count] = in.ReadArrayHeader();
  Napi::Array array = Napi::Array::New(env, count);
  for (uint32_t i = 0; i < count; ++i) {
    const Napi::HandleScope scope(env);
    array.Set(i, GgufToJs(env, in, element));
  }
  return array;
}

// (path) -> {tensors, metadata}
Napi::Value ParseSafetensorsToJs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const MappedFile mapped(GetString(info[0], "path"));
  const SafetensorsFile file = ParseSafetensors(mapped.bytes(), mapped.path());
  Napi::Object metadata = Napi::Object::New(env);
  for (const auto& [key, value] : file.metadata) Define(metadata, key, ToJs(env, value));
  Napi::Object result = Napi::Object::New(env);
  result.Set("tensors", TensorsToJs(env, file.tensors));
  result.Set("metadata", metadata);
  return result;
}

bool IsArrayOver(const GgufEntry& entry, size_t longest, const std::string& path) {
  if (entry.type != GgufType::kArray) return false;
  return GgufReader(entry.bytes, path).ReadArrayHeader().count > longest;
}

// (path, longest): without the arrays of the metadata that have more than `longest` entries
Napi::Value ParseGgufToJs(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const size_t longest = GetSize(info[1], "longest");
  const MappedFile mapped(GetString(info[0], "path"));
  const GgufFile file = ParseGguf(mapped.bytes(), mapped.path());
  Napi::Object metadata = Napi::Object::New(env);
  Napi::Object types = Napi::Object::New(env);
  for (const GgufEntry& entry : file.metadata) {
    if (IsArrayOver(entry, longest, mapped.path())) continue;
    const Napi::HandleScope scope(env);
    GgufReader in(entry.bytes, mapped.path());
    Define(metadata, entry.key, GgufToJs(env, in, entry.type));
    Define(types, entry.key, ToJs(env, TypeNameOf(entry)));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("version", file.version);
  result.Set("alignment", file.alignment);
  result.Set("metadata", metadata);
  result.Set("metadataTypes", types);
  result.Set("tensors", TensorsToJs(env, file.tensors));
  return result;
}

// (path) -> file
Napi::Value OpenFile(const Napi::CallbackInfo& info) {
  return MakeHandle(info.Env(), std::make_shared<MappedFile>(GetString(info[0], "path")));
}

// (engine, ref, files, dtype, row, count) -> Promise<Uint8Array>: rows of a tensor, encoded as
// dtype
Napi::Value EncodeTensor(const Napi::CallbackInfo& info) {
  const auto context = EngineOf(info);
  Napi::Object refs = Napi::Object::New(info.Env());
  refs.Set("tensor", info[1]);
  const auto source = GetTensor(refs, "tensor", GetArray(info[2], "files"));
  if (!source) throw BadArgument("tensor must be an object");
  const Dtype dtype = GetDtype(info[3]);
  const size_t row = GetSize(info[4], "row"), count = GetSize(info[5], "count");
  if (row + count > source->rows) throw BadArgument("rows outside the tensor");
  return ComputeOn(
      info.Env(), context, [=] { return EncodeRows(*context, *source, dtype, row, count); }, Bytes);
}

}  // namespace

void InitFiles(Napi::Env env, Napi::Object exports) {
  Export<ParseSafetensorsToJs>(env, exports, "parseSafetensors");
  Export<ParseGgufToJs>(env, exports, "parseGguf");
  Export<OpenFile>(env, exports, "openFile");
  Export<EncodeTensor>(env, exports, "encodeTensor");
}

}  // namespace struprune::addon
