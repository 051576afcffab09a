// Repeats an operation for a while.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>

namespace struprune::bench {

inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Lap {
  double seconds = 0;  // fastest: other work on the machine only slows
  size_t repeats = 0;
};

// Calls `timed`, which returns the seconds of its work, once to warm up, then at least three times
// and until `seconds` of work are over.
inline Lap RepeatTimed(double seconds, const std::function<double()>& timed) {
  Lap lap{std::numeric_limits<double>::infinity(), 0};
  timed();
  for (double sum = 0; lap.repeats < 3 || sum < seconds; ++lap.repeats) {
    const double elapsed = timed();
    lap.seconds = std::min(lap.seconds, elapsed);
    sum += elapsed;
  }
  return lap;
}

// The same by the host's clock; `prepare` is not timed.
inline Lap Repeat(double seconds, const std::function<void()>& prepare,
                  const std::function<void()>& work) {
  return RepeatTimed(seconds, [&] {
    prepare();
    const double start = Now();
    work();
    return Now() - start;
  });
}

}  // namespace struprune::bench
