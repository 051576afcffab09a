// libFuzzer target: JSON {files, block, tensors, ends, model} as the addon would have it from
// JavaScript is either descriptions that keep the promises of decode.h or a struprune::Error.
#include <simdjson.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "addon/decode.h"

namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;
using struprune::addon::Plain;

Plain PlainOf(element value) {
  switch (value.type()) {
    case element_type::BOOL:
      return {bool(value)};
    case element_type::STRING:
      return {std::string(std::string_view(value))};
    case element_type::ARRAY: {
      Plain::List list;
      for (const element item : simdjson::dom::array(value)) list.push_back(PlainOf(item));
      return {std::move(list)};
    }
    case element_type::OBJECT: {
      Plain::Fields fields;
      for (const auto [name, field] : simdjson::dom::object(value)) {
        fields.push_back({std::string(name), PlainOf(field)});
      }
      return {std::move(fields)};
    }
    case element_type::NULL_VALUE:
      return {};
    default:
      return {double(value)};
  }
}

void Require(bool holds) {
  if (!holds) __builtin_trap();
}

void RequireSound(const struprune::TensorSource& source) {
  size_t elements = 0;
  Require(source.file != nullptr);
  Require(!__builtin_mul_overflow(source.rows, source.cols, &elements));
  Require(source.bytes / struprune::LayoutOf(source.dtype).bytes *
              struprune::LayoutOf(source.dtype).elements ==
          elements);
}

void DecodeAll(const Plain& given, struprune::addon::Files files) {
  using namespace struprune::addon;  // NOLINT
  const struprune::BlockSpec block = DecodeBlockSpec(FieldOf(given, "block"));
  const auto sources = DecodeBlockTensors(block, FieldOf(given, "tensors"), files);
  Require(sources.size() == block.sublayers.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    for (size_t p = 0; p < struprune::kParts; ++p) {
      const struprune::TensorId id{i, static_cast<struprune::Part>(p)};
      const auto shape = ShapeOf(block.sublayers[i], block.hidden, id.part);
      Require(!shape || (shape->rows <= size_t{1} << 31 && shape->cols <= size_t{1} << 31));
      if (!sources[i][p]) continue;
      RequireSound(*sources[i][p]);
      // The name leads back to it: a later sublayer of the same name has no tensors.
      const auto named = TensorNamed(block, NameOf(block, id));
      Require(named.sublayer == i && named.part == id.part);
    }
  }
  const auto ends = DecodeEndsSpec(FieldOf(given, "ends"), FieldOf(given, "model"), files);
  Require(ends.embedding->cols == ends.embedding_width);
  if (ends.sample.empty()) {
    Require(ends.embedding->rows == ends.vocab);
  } else {
    Require(ends.sample.size() == ends.vocab);
    for (const int32_t row : ends.sample) {
      Require(row >= 0 && static_cast<size_t>(row) < ends.embedding->rows);
    }
  }
  for (const auto* source : {&ends.embedding, &ends.positions, &ends.project_in, &ends.project_out,
                             &ends.final_norm, &ends.final_norm_bias, &ends.head}) {
    if (*source) RequireSound(**source);
  }
}

// Two handles of a small file.
std::vector<std::shared_ptr<struprune::MappedFile>> Opened() {
  char path[] = "/tmp/struprune-fuzz-XXXXXX";
  close(mkstemp(path));
  const auto file = std::make_shared<struprune::MappedFile>(path);
  unlink(path);
  return {file, file};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto files = Opened();
  static simdjson::dom::parser parser;
  const simdjson::padded_string text(reinterpret_cast<const char*>(data), size);
  element root;
  if (parser.parse(text).get(root) != simdjson::SUCCESS) return 0;
  try {
    DecodeAll(PlainOf(root), files);
  } catch (const struprune::Error&) {
  }
  return 0;
}
