#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <string>

#include "bytes.h"
#include "expect_error.h"
#include "formats/container.h"

namespace struprune {
namespace {

using test::Bytes;
using test::ExpectError;

constexpr uint32_t kF32 = 0, kQ40 = 2;

Bytes Head(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
  Bytes bytes;
  bytes.Raw("GGUF").Put(version).Put(tensors).Put(entries);
  return bytes;
}

void Key(Bytes& bytes, std::string_view key, GgufType type) {
  bytes.String(key).Put(static_cast<uint32_t>(type));
}

void Array(Bytes& bytes, GgufType element, uint64_t count) {
  bytes.Put(static_cast<uint32_t>(element)).Put(count);
}

void Tensor(Bytes& bytes, std::string_view name, std::vector<uint64_t> fastest_first, uint32_t type,
            uint64_t offset) {
  bytes.String(name).Put(static_cast<uint32_t>(fastest_first.size()));
  for (const uint64_t width : fastest_first) bytes.Put(width);
  bytes.Put(type).Put(offset);
}

void ExpectRefused(const Bytes& bytes, const std::string& part,
                   const std::string& code = "ERR_CHECKPOINT") {
  ExpectError([&] { ParseGguf(bytes.span(), "x.gguf"); }, code, part);
}

TEST(Gguf, ReadsMetadataAndTensors) {
  for (const uint32_t version : {2u, 3u}) {
    Bytes bytes = Head(2, 2, version);
    Key(bytes, "general.alignment", GgufType::kUint32);
    bytes.Put<uint32_t>(64);
    Key(bytes, "tokens", GgufType::kArray);
    Array(bytes, GgufType::kString, 2);
    bytes.String("<s>").String("");
    Tensor(bytes, "w", {32, 3}, kQ40, 0);
    Tensor(bytes, "v", {5}, kF32, 64);
    bytes.PadTo(64);
    const size_t start = bytes.size();
    bytes.Zeros(64 + 20);
    const GgufFile file = ParseGguf(bytes.span(), "x");
    EXPECT_EQ(file.version, version);
    EXPECT_EQ(file.alignment, 64u);
    ASSERT_EQ(file.metadata.size(), 2u);
    EXPECT_EQ(TypeNameOf(file.metadata[0]), "uint32");
    EXPECT_EQ(TypeNameOf(file.metadata[1]), "array:string");
    ASSERT_EQ(file.tensors.size(), 2u);
    EXPECT_EQ(file.tensors[0].dtype, "Q4_0");
    EXPECT_EQ(file.tensors[0].shape, (std::vector<uint64_t>{3, 32}));
    EXPECT_EQ(file.tensors[0].offset, start);
    EXPECT_EQ(file.tensors[0].bytes, 54u);
    EXPECT_EQ(file.tensors[1].offset, start + 64);
    EXPECT_EQ(file.tensors[1].bytes, 20u);
  }
}

TEST(Gguf, RefusesOtherFilesAndVersions) {
  Bytes wrong;
  wrong.Raw("GGML").Zeros(20);
  ExpectRefused(wrong, "does not begin with GGUF");
  ExpectRefused(Bytes().Raw("version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer");
  ExpectRefused(Bytes().Raw("GG"), "the magic at byte 0 needs 4 bytes");
  ExpectRefused(Head(0, 0, 1), "GGUF version 1", "ERR_UNSUPPORTED");
  ExpectRefused(Head(0, 0, 4), "GGUF version 4", "ERR_UNSUPPORTED");
  ExpectRefused(Head(0, 0, 0x03000000), "big-endian", "ERR_UNSUPPORTED");
}

TEST(Gguf, RefusesCountsThatCannotFit) {
  ExpectRefused(Head(UINT64_MAX, 0), "tensors, which do not fit");
  ExpectRefused(Head(0, UINT64_MAX), "metadata entries, which do not fit");
  ExpectRefused(Head(1, 0).Zeros(23), "1 tensors, which do not fit in the 23 bytes");
  // There is room, but not for what would be made of so many.
  ExpectRefused(Head(0, kMaxMetadataEntries + 1).Zeros(16 * kMaxMetadataEntries),
                "65537 metadata entries, more than 65536");
  ExpectRefused(Head(kMaxTensors + 1, 0).Zeros(32 * kMaxTensors),
                "262145 tensors, more than 262144");
}

TEST(Gguf, RefusesLengthsThatLie) {
  Bytes key = Head(0, 1);
  key.Put<uint64_t>(UINT64_MAX).Zeros(40);
  ExpectRefused(key, "a metadata key at byte 32 needs 18446744073709551615 bytes");

  Bytes text = Head(0, 1);
  Key(text, "a", GgufType::kString);
  text.Put<uint64_t>(1 << 30).Raw("short");
  ExpectRefused(text, "a metadata string at byte 45 needs 1073741824 bytes, but 5 are left");

  Bytes array = Head(0, 1);
  Key(array, "a", GgufType::kArray);
  Array(array, GgufType::kUint64, (UINT64_MAX / 8) + 2);
  array.Zeros(64);
  ExpectRefused(array, "has an array of");
}

TEST(Gguf, RefusesMoreArrayValuesThanAnyModelHas) {
  Bytes bytes = Head(0, 1);
  Key(bytes, "a", GgufType::kArray);
  Array(bytes, GgufType::kUint8, kMaxGgufElements + 1);
  bytes.Zeros(kMaxGgufElements + 1);
  ExpectRefused(bytes, "brings the array values to more than 16777216");
}

TEST(Gguf, RefusesArraysOfArrays) {
  Bytes bytes = Head(0, 1);
  Key(bytes, "a", GgufType::kArray);
  for (int i = 0; i < 100'000; ++i) Array(bytes, GgufType::kArray, 1);
  ExpectRefused(bytes, R"("a" has an array of arrays)");
}

TEST(Gguf, RefusesBoolsThatAreNeither) {
  Bytes one = Head(0, 1);
  Key(one, "a", GgufType::kBool);
  ExpectRefused(one.Put<uint8_t>(2), R"("a" has a bool that is neither 0 nor 1)");
  Bytes many = Head(0, 1);
  Key(many, "a", GgufType::kArray);
  Array(many, GgufType::kBool, 3);
  ExpectRefused(many.Put<uint8_t>(1).Put<uint8_t>(0).Put<uint8_t>(128), "neither 0 nor 1");
}

TEST(Gguf, RefusesNamesThatLlamaCppCannotHold) {
  const auto named = [](size_t bytes) {
    Bytes file = Head(1, 0);
    Tensor(file, std::string(bytes, 'w'), {8}, kF32, 0);
    return file.PadTo(32).Zeros(32);
  };
  EXPECT_EQ(ParseGguf(named(63).span(), "x").tensors.size(), 1u);
  ExpectRefused(named(64), "has 64 bytes, more than 63");
  Bytes key = Head(0, 1);
  Key(key, std::string(65'536, 'k'), GgufType::kUint8);
  ExpectRefused(key.Put<uint8_t>(0), "has 65536 bytes, more than 65535");
}

TEST(Gguf, RefusesBadMetadata) {
  Bytes twice = Head(0, 2);
  for (int i = 0; i < 2; ++i) {
    Key(twice, "a", GgufType::kBool);
    twice.Put<uint8_t>(1);
  }
  ExpectRefused(twice, R"("a" is there twice)");

  Bytes unknown = Head(0, 1);
  Key(unknown, "a", static_cast<GgufType>(13));
  ExpectRefused(unknown.Zeros(8), "unknown value type 13");

  Bytes latin = Head(0, 1);
  Key(latin, "\xe9", GgufType::kBool);
  ExpectRefused(latin.Zeros(8), "is not UTF-8");
  Bytes value = Head(0, 1);
  Key(value, "a", GgufType::kString);
  ExpectRefused(value.String("\xe9"), R"("a" has a string that is not UTF-8)");

  for (const uint32_t alignment : {0u, 48u, 1u << 30}) {
    Bytes bytes = Head(0, 1);
    Key(bytes, "general.alignment", GgufType::kUint32);
    ExpectRefused(bytes.Put(alignment), "general.alignment is " + std::to_string(alignment));
  }
  Bytes text = Head(0, 1);
  Key(text, "general.alignment", GgufType::kString);
  ExpectRefused(text.String("32"), "general.alignment is not a uint32");
}

struct BadTensor {
  std::vector<uint64_t> fastest_first;
  uint32_t type;
  uint64_t offset;
  const char* part;
  const char* code = "ERR_CHECKPOINT";
};

TEST(Gguf, RefusesBadTensors) {
  const BadTensor cases[] = {
      {{1, 1, 1, 1, 1}, kF32, 0, "has 5 dimensions"},
      {{4}, 4, 0, "unknown type 4", "ERR_UNSUPPORTED"},
      {{4}, 0xffffffff, 0, "unknown type", "ERR_UNSUPPORTED"},
      {{31, 32}, kQ40, 0, "rows of 31 values"},
      {{uint64_t{1} << 32, uint64_t{1} << 32}, kF32, 0, "does not fit in 64 bits"},
      {{uint64_t{1} << 62}, kF32, 0, "does not fit in 64 bits"},
      {{4}, kF32, 8, "lies at offset 8, not at 0"},
      {{4}, kF32, UINT64_MAX - 31, "lies at offset 18446744073709551584, not at 0"},
      {{64}, kF32, 0, "ends after the file"},
  };
  for (const BadTensor& bad : cases) {
    Bytes bytes = Head(1, 0);
    Tensor(bytes, "w", bad.fastest_first, bad.type, bad.offset);
    bytes.PadTo(32).Zeros(128);
    ExpectRefused(bytes, bad.part, bad.code);
  }
}

TEST(Gguf, RefusesTensorsThatShareBytesOrNames) {
  const auto two = [](const char* name, uint64_t offset) {
    Bytes bytes = Head(2, 0);
    Tensor(bytes, "a", {16}, kF32, 0);
    Tensor(bytes, name, {8}, kF32, offset);
    return bytes.PadTo(32).Zeros(96);
  };
  EXPECT_EQ(ParseGguf(two("b", 64).span(), "x").tensors.size(), 2u);
  ExpectRefused(two("b", 32), R"("b" lies at offset 32, not at 64)");
  ExpectRefused(two("b", 96), R"("b" lies at offset 96, not at 64)");
  ExpectRefused(two("a", 64), R"("a" is there twice)");
}

TEST(Gguf, RefusesAnotherTypeOrWidthOfATensor) {
  constexpr uint32_t kF16 = 1, kQ41 = 3;
  const auto file = [](uint32_t first, uint64_t width, uint32_t last) {
    Bytes bytes = Head(2, 0);
    Tensor(bytes, "a", {width}, first, 0);
    Tensor(bytes, "b", {32}, last, 64);
    return bytes.PadTo(32).Zeros(128);
  };
  EXPECT_EQ(ParseGguf(file(kF16, 32, kF16).span(), "x").tensors.size(), 2u);
  // One bit: the file would be taken for one of other values.
  ExpectRefused(file(kQ41, 32, kF16), R"("b" lies at offset 64, not at 32)");
  ExpectRefused(file(kF16, 64, kF16), R"("b" lies at offset 64, not at 128)");
  ExpectRefused(file(kF16, 32, kQ41), "32 bytes that belong to no tensor at its end");
}

TEST(Gguf, OnlyTheLastPaddingMayBeMissing) {
  const auto file = [](size_t data) {
    Bytes bytes = Head(1, 0);
    Tensor(bytes, "a", {5}, kF32, 0);
    return bytes.PadTo(32).Zeros(data);
  };
  EXPECT_EQ(ParseGguf(file(20).span(), "x").tensors.size(), 1u);
  EXPECT_EQ(ParseGguf(file(32).span(), "x").tensors.size(), 1u);
  ExpectRefused(file(33), "1 bytes that belong to no tensor at its end");
  // A tensor of nothing lies in the file too.
  Bytes empty = Head(1, 0);
  Tensor(empty, "a", {0}, kF32, 0);
  EXPECT_NE(empty.size() % 32, 0u);
  ExpectRefused(empty, "ends after the file");
  EXPECT_EQ(ParseGguf(empty.PadTo(32).span(), "x").tensors.size(), 1u);
  ExpectRefused(Head(0, 0).PadTo(32).Zeros(1), "1 bytes that belong to no tensor at its end");
}

TEST(Gguf, EveryTruncationIsAnError) {
  Bytes bytes = Head(1, 2);
  Key(bytes, "tokens", GgufType::kArray);
  Array(bytes, GgufType::kString, 2);
  bytes.String("one").String("two");
  Key(bytes, "x", GgufType::kFloat64);
  bytes.Put(1.5);
  Tensor(bytes, "w", {8, 1}, kF32, 0);
  bytes.PadTo(32).Zeros(32);
  EXPECT_EQ(ParseGguf(bytes.span(), "x").tensors.size(), 1u);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(ParseGguf(bytes.span().first(size), "x"), Error) << size;
  }
}

}  // namespace
}  // namespace struprune
