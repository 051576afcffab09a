// Items that go through tiles, vectors and tiles again, three on their way at a time: vectors weigh
// one while the tiles multiply what the item before weighed and the operands of the next.
#pragma once

#include <algorithm>
#include <cstddef>

#include "ops/amx_tiles.h"

#ifdef STRUPRUNE_HAS_AMX

namespace struprune::amx {

constexpr size_t kItems = 3;  // on their way

// A kernel has an Item and says how often Score(item, meanwhile) and Multiply(item, meanwhile) call
// meanwhile: ScoreSteps(item), MultiplySteps(item). Between the two come Begin(item) and
// Weigh(item, i) for all i below Lines(item).
template <typename Kernel>
class Ring {
 public:
  using Item = typename Kernel::Item;

  STRUPRUNE_AMX Ring(const Kernel& kernel, Item* items) : kernel_(kernel), items_(items) {}

  // Where the next item goes.
  Item& Next() { return items_[scored_ % kItems]; }

  // Takes the next item in (null: none), and those before it a step on.
  STRUPRUNE_AMX void Advance(const Item* next) {
    Item* const middle = weighed_ < scored_ ? &items_[weighed_ % kItems] : nullptr;
    const Item* const last = multiplied_ < weighed_ ? &items_[multiplied_ % kItems] : nullptr;
    const size_t steps =
        (next ? kernel_.ScoreSteps(*next) : 0) + (last ? kernel_.MultiplySteps(*last) : 0);
    const size_t lines = middle ? kernel_.Lines(*middle) : 0;
    const size_t each = steps > 0 ? (lines + steps - 1) / steps : lines;
    size_t line = 0;
    const auto weigh = [&](size_t) STRUPRUNE_AMX {
      for (const size_t end = std::min(lines, line + each); line < end; ++line) {
        kernel_.Weigh(*middle, line);
      }
    };
    if (middle) kernel_.Begin(*middle);
    if (next) kernel_.Score(*next, weigh);
    if (last) kernel_.Multiply(*last, weigh);
    for (; line < lines; ++line) kernel_.Weigh(*middle, line);
    scored_ += next != nullptr;
    weighed_ += middle != nullptr;
    multiplied_ += last != nullptr;
  }

  STRUPRUNE_AMX void Finish() {
    while (multiplied_ < scored_) Advance(nullptr);
  }

 private:
  const Kernel& kernel_;
  Item* const items_;
  size_t scored_ = 0, weighed_ = 0, multiplied_ = 0;
};

}  // namespace struprune::amx

#endif
