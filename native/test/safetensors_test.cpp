#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <string>

#include "bytes.h"
#include "expect_error.h"
#include "formats/container.h"

namespace struprune {
namespace {

using test::Bytes;
using test::ExpectError;

Bytes File(const std::string& json, size_t data_bytes) {
  Bytes bytes;
  bytes.Put<uint64_t>(json.size()).Raw(json).Zeros(data_bytes);
  return bytes;
}

void ExpectRefused(const std::string& json, size_t data_bytes, const std::string& part) {
  const Bytes bytes = File(json, data_bytes);
  ExpectError([&] { ParseSafetensors(bytes.span(), "x.safetensors"); }, "ERR_CHECKPOINT", part);
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const std::string json = R"({"__metadata__":{"format":"pt"},)"
                           R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
                           R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                           R"("flags":{"dtype":"BOOL","shape":[3],"data_offsets":[16,19]},)"
                           R"("none":{"dtype":"F16","shape":[0,8],"data_offsets":[16,16]}}   )";
  const Bytes bytes = File(json, 19);
  const SafetensorsFile file = ParseSafetensors(bytes.span(), "x");
  const uint64_t start = 8 + json.size();
  ASSERT_EQ(file.tensors.size(), 4u);
  EXPECT_EQ(file.tensors[0].name, "b");
  EXPECT_EQ(file.tensors[0].dtype, "BF16");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(file.tensors[0].offset, start + 4);
  EXPECT_EQ(file.tensors[0].bytes, 12u);
  EXPECT_TRUE(file.tensors[1].shape.empty());
  EXPECT_EQ(file.tensors[2].dtype, "BOOL");
  EXPECT_EQ(file.tensors[3].bytes, 0u);
  ASSERT_EQ(file.metadata.size(), 1u);
  EXPECT_EQ(file.metadata[0], (std::pair<std::string, std::string>("format", "pt")));
}

TEST(Safetensors, NamesAPointerOfGitLfs) {
  Bytes bytes;
  bytes.Raw("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
  ExpectError([&] { ParseSafetensors(bytes.span(), "x"); }, "ERR_CHECKPOINT", "x: is a Git LFS");
}

TEST(Safetensors, RefusesHeadersThatLieAboutTheirLength) {
  const auto refuse = [](uint64_t length, size_t rest, const std::string& part) {
    Bytes bytes;
    bytes.Put(length).Raw("{").Zeros(rest);
    ExpectError([&] { ParseSafetensors(bytes.span(), "x"); }, "ERR_CHECKPOINT", part);
  };
  refuse(kMaxSafetensorsHeader + 1, 8, "says that its header has 100000001 bytes");
  refuse(UINT64_MAX, 8, "says that its header has");
  refuse(99'000'000, 8, "the file ends after 9");
  refuse(0, 8, "not a JSON object");
}

TEST(Safetensors, RefusesFilesThatAreTooShort) {
  ExpectError([] { ParseSafetensors({}, "x"); }, "ERR_CHECKPOINT", "has 0 bytes");
}

TEST(Safetensors, RefusesBrokenJson) {
  ExpectRefused(R"([])", 0, "not a JSON object");
  ExpectRefused(R"({"a":)", 0, "not a JSON object");
  ExpectRefused(R"({"a":1})", 0, "not described by an object");
  ExpectRefused(R"({"__metadata__":{"a":1}})", 0, "is not a string");
  ExpectRefused(R"({"__metadata__":[]})", 0, "is not an object");
  ExpectRefused("{\"\xff\":{}}", 0, "not a JSON object");
  // Deeper than any recursion should go.
  ExpectRefused("{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", 0,
                "not described by an object");
  ExpectRefused("{}{}", 0, "goes on after its JSON object");
  ExpectRefused("{} x}", 0, "goes on after its JSON object");
  const std::string sound = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  ExpectRefused("{" + sound + ",}", 4, "not a JSON object");
  ExpectRefused("{" + sound + sound + "}", 4, "not a JSON object");
  ExpectRefused("{" + sound, 4, "not a JSON object");
}

TEST(Safetensors, RefusesBadDescriptions) {
  ExpectRefused(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "has no dtype");
  ExpectRefused(R"({"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}})", 4, "unknown dtype");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "non-negative");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, "non-negative");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4, "non-negative");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "not a range");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "not a range");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "4 bytes of data");
  ExpectRefused(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1, "1 bytes of data");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})", 4,
                "shape twice");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":[{"y":1}]}})", 4,
                R"(has the unknown field "x")");
  ExpectRefused(R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", 4, "not a string");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "not an array");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1 1],"data_offsets":[0,4]}})", 4, "non-negative");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}})", 4, "non-negative");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1x],"data_offsets":[0,4]}})", 4, "non-negative");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                "does not fit in 64 bits");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0,
                "does not fit in 64 bits");
}

TEST(Safetensors, RefusesMoreThanAnyModelHas) {
  std::string tensors = "{", metadata = R"({"__metadata__":{)", ones = "[1";
  for (uint64_t i = 0; i <= kMaxTensors; ++i) {
    tensors += "\"" + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)";
  }
  for (uint64_t i = 0; i <= kMaxMetadataEntries; ++i) metadata += R"("":"",)";
  for (int i = 0; i < 64; ++i) ones += ",1";
  ExpectRefused(tensors + "}", 0, "more than 262144 tensors");
  ExpectRefused(metadata + "}}", 0, "more than 65536 entries");
  ExpectRefused(R"({"a":{"dtype":"U8","data_offsets":[0,1],"shape":)" + ones + "]}}", 1,
                "a shape of more than 64 entries");
}

std::string Two(const std::string& first_name, const std::string& first_range,
                const std::string& second_name, const std::string& second_range) {
  return "{\"" + first_name + R"(":{"dtype":"F32","shape":[2],"data_offsets":)" + first_range +
         "},\"" + second_name + R"(":{"dtype":"F32","shape":[2],"data_offsets":)" + second_range +
         "}}";
}

TEST(Safetensors, RefusesDataThatAreNotContiguous) {
  ExpectRefused(Two("a", "[0,8]", "b", "[4,12]"), 12, R"("a" and "b" overlap)");
  ExpectRefused(Two("a", "[8,16]", "b", "[0,8]"), 15, "ends at byte 16");
  ExpectRefused(Two("a", "[0,8]", "b", "[12,20]"), 20, "4 bytes that belong to no tensor before");
  ExpectRefused(Two("a", "[4,12]", "b", "[12,20]"), 20, "4 bytes that belong to no tensor before");
  ExpectRefused(Two("a", "[0,8]", "b", "[8,16]"), 17,
                "1 bytes that belong to no tensor at its end");
  ExpectRefused(Two("a", "[0,8]", "a", "[8,16]"), 16, R"("a" is there twice)");
}

TEST(Safetensors, MessagesHoldNoControlCharacters) {
  ExpectRefused(R"({"\u001b[31m":{"dtype":"Q9","shape":[],"data_offsets":[0,0]}})", 0,
                R"(tensor "?[31m")");
}

}  // namespace
}  // namespace struprune
