// A file that is only read: its header by a memory map, whose pages come in when they are touched,
// and its weights by copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/os/file.h"

namespace struprune {

class MappedFile {
 public:
  // Throws ERR_NOT_FOUND when there is no such file, ERR_CHECKPOINT when it cannot be read or is
  // not a regular file.
  explicit MappedFile(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t size() const { return map_.bytes().size(); }
  // The whole file as mapped, without a look at whether it still has its length.
  std::span<const std::byte> bytes() const { return map_.bytes(); }

  // Copies the bytes from `offset` on, without the map: a page that is touched there counts as
  // memory of the process, and brings its neighbours along. Throws ERR_CHECKPOINT when they do not
  // lie inside, or the file was cut since it was opened.
  void Read(uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string path_;
  os::File file_;
  os::Mapping map_;
};

}  // namespace struprune
