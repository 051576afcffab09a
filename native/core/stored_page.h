// One page of a page store: where its bytes are and what is being done with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/budget.h"

namespace struprune {

struct StoredPage {
  static constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();
  enum class Busy : uint8_t { kNo, kReading, kWriting };

  // In the scratch file.
  size_t Space() const;

  size_t bytes = 0;
  Buffer<std::byte> memory;       // empty: not resident
  std::optional<uint64_t> place;  // in the scratch file, where one was taken
  uint64_t hash = 0;              // of the copy there
  bool stored = false;            // there is a copy in the scratch file
  bool changed = false;           // memory is newer than the copy
  bool ahead = false;             // came before it was asked for
  bool failed = false;            // could not be read ahead: left to who asks for it
  Busy busy = Busy::kNo;          // bytes are on their way, without the store's lock
  uint32_t pins = 0;
  uint64_t used = 0;             // when it was acquired last, on the store's clock
  uint32_t next_visit = kNever;  // place in the announced order
};

}  // namespace struprune
