// A file without a name for what memory does not hold: nothing is left behind, however the process
// ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>

#include "core/os/file.h"

namespace struprune {

class ScratchFile {
 public:
  // Throws ERR_SCRATCH, as all of its members do, naming the folder.
  explicit ScratchFile(std::string folder);

  // Several threads may read and write ranges that do not overlap.
  //
  // Neither leaves its bytes in the page cache. Reads and writes are not mapped, so that the cache
  // is no memory of the process; but a control group is charged for it, and what waits there to be
  // written cannot be taken back. So writing goes to the disk at once, is waited for when more than
  // a few MiB are under way, and what is clean is given back.
  void Read(uint64_t offset, std::span<std::byte> bytes) const;
  void Write(uint64_t offset, std::span<const std::byte> bytes);
  // Cuts the file: its space beyond `bytes` goes back to the disk. Where that fails it stays
  // longer.
  void Truncate(uint64_t bytes) noexcept;

 private:
  struct Range {
    uint64_t offset, bytes;
  };
  void Uncache(Range written);

  std::string folder_;
  os::File file_;
  std::mutex mutex_;
  std::deque<Range> fresh_;  // on their way to the disk
  uint64_t fresh_bytes_ = 0;
};

}  // namespace struprune
