#include "core/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "expect_error.h"

namespace struprune {
namespace {

using test::ExpectError;

class MappedFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "struprune-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& text) const {
    const std::string path = folder_ / "file";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  std::filesystem::path folder_;
};

std::string Text(const MappedFile& file, uint64_t offset, size_t bytes) {
  std::string text(bytes, '-');
  file.Read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

TEST_F(MappedFileTest, ReadsAndMoves) {
  MappedFile first(Write("0123456789"));
  EXPECT_EQ(first.size(), 10u);
  EXPECT_EQ(Text(first, 3, 4), "3456");
  MappedFile second = std::move(first);
  EXPECT_EQ(Text(second, 0, 10), "0123456789");
  EXPECT_EQ(first.size(), 0u);  // NOLINT: a moved-from file is empty
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  const MappedFile file(Write(""));
  EXPECT_TRUE(file.bytes().empty());
  EXPECT_EQ(Text(file, 0, 0), "");
}

TEST_F(MappedFileTest, RefusesWhatIsNotAReadableFile) {
  ExpectError([&] { MappedFile file(folder_ / "none"); }, "ERR_NOT_FOUND", "there is no file");
  ExpectError([&] { MappedFile file(folder_); }, "ERR_CHECKPOINT", "not a regular file");
  const std::string pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  ExpectError([&] { MappedFile file(pipe); }, "ERR_CHECKPOINT", "not a regular file");
}

TEST_F(MappedFileTest, RefusesRangesOutside) {
  const MappedFile file(Write("0123456789"));
  ExpectError([&] { Text(file, 8, 3); }, "ERR_CHECKPOINT", "outside the file of 10 bytes");
  ExpectError([&] { Text(file, 11, 0); }, "ERR_CHECKPOINT", "outside the file");
  ExpectError([&] { Text(file, UINT64_MAX, 3); }, "ERR_CHECKPOINT", "outside the file");
}

TEST_F(MappedFileTest, SeesThatTheFileWasCut) {
  const std::string path = Write(std::string(10'000, 'x'));
  const MappedFile file(path);
  ASSERT_EQ(truncate(path.c_str(), 100), 0);
  EXPECT_EQ(Text(file, 0, 5), "xxxxx");
  ExpectError([&] { Text(file, 9'000, 5); }, "ERR_CHECKPOINT", "was cut");
  ExpectError([&] { Text(file, 98, 5); }, "ERR_CHECKPOINT", "was cut");
}

// Kilobytes of resident memory that belong to mapped files.
size_t MappedKiB() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssFile:")) return std::stoul(line.substr(8));
  }
  return 0;
}

TEST_F(MappedFileTest, WhatIsReadIsNoMemoryOfTheProcess) {
  constexpr size_t kMiB = size_t{1} << 20;
  const MappedFile file(Write(std::string(8 * kMiB, 'x')));
  const size_t before = MappedKiB();
  for (size_t at = 0; at < 8 * kMiB; at += kMiB / 4) EXPECT_EQ(Text(file, at, 3), "xxx");
  EXPECT_LT(MappedKiB(), before + 64);
}

}  // namespace
}  // namespace struprune
