// The threads of a block as fibers.
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cuda_runtime.h"

namespace emulation {
namespace {

constexpr size_t kStack = 64 * 1024;
constexpr unsigned kMaxThreads = 1024;

enum class State : uint8_t { kNew, kReady, kAtBarrier, kAtExchange, kDone };

// Registers of a fiber or of the scheduler, as __builtin_setjmp keeps them: swapcontext would make
// a system call at every switch.
using Place = void* [5];

// By threads of the block that runs, and by fibers, of which a thread has one from its begin to its
// end. Apart by what a switch reads: cache lines are what it costs.
struct Machine {
  State states[kMaxThreads] = {};
  unsigned fiber_of[kMaxThreads];
  uint64_t values[kMaxThreads][2];
  uint8_t exchanges[kMaxThreads];  // of two, which one is next

  Place scheduler;
  Place places[kMaxThreads];
  std::unique_ptr<char[]> stacks[kMaxThreads];  // null: never entered
  unsigned idle[kMaxThreads];                   // fibers without a thread
  unsigned idle_count = 0;
  unsigned fibers = 0;
  ucontext_t start;

  const std::function<void()>* kernel = nullptr;
  unsigned threads = 0;
  unsigned current = 0;
  unsigned round = 0;  // odd: backwards
  unsigned turn = 0;   // threads of this round that had theirs
};

Machine machine;

// Of a function that the compiler knows nothing of where it is called.
#ifdef __clang__
#define OPAQUE [[gnu::noinline]]
#else
#define OPAQUE [[gnu::noipa]]
#endif

// All registers have other values after a switch. A jump in the function that keeps the place would
// let the compiler drop the way back.
OPAQUE [[noreturn]] void GoTo(Place& place) { __builtin_longjmp(place, 1); }

OPAQUE void Leave(unsigned fiber, Place& to) {
  if (__builtin_setjmp(machine.places[fiber]) == 0) GoTo(to);
}

// Whose turn it is. @return a thread, or `threads` at the end of the round
unsigned Next() {
  for (; machine.turn < machine.threads; ++machine.turn) {
    const unsigned last = machine.threads - 1;
    const unsigned at = machine.round % 2 == 1 ? last - machine.turn : machine.turn;
    if (machine.states[at] == State::kNew || machine.states[at] == State::kReady) return at;
  }
  return machine.threads;
}

void Begin(unsigned thread) {
  machine.current = thread;
  machine.turn += 1;
  threadIdx = dim3(thread, 0, 0);
}

// A fiber whose thread has ended goes on as the next one where that has not begun, so that kernels
// without barriers never switch.
void FiberMain() {
  for (;;) {
    (*machine.kernel)();
    const unsigned fiber = machine.fiber_of[machine.current];
    machine.states[machine.current] = State::kDone;
    const unsigned next = Next();
    if (next < machine.threads && machine.states[next] == State::kNew) {
      machine.fiber_of[next] = fiber;
      Begin(next);
    } else {
      machine.idle[machine.idle_count++] = fiber;
      Leave(fiber, machine.scheduler);
    }
  }
}

OPAQUE void Enter(unsigned fiber) {
  if (__builtin_setjmp(machine.scheduler) != 0) return;
  if (machine.stacks[fiber]) GoTo(machine.places[fiber]);
  // The tops of stacks lie on different lines of a page: at one distance from each other they would
  // all want the same few lines of the cache.
  constexpr size_t kPage = 4096, kLine = 64;
  machine.stacks[fiber] = std::make_unique<char[]>(kStack + kPage);
  getcontext(&machine.start);
  machine.start.uc_stack.ss_sp = machine.stacks[fiber].get() + fiber * 5 * kLine % kPage;
  machine.start.uc_stack.ss_size = kStack;
  machine.start.uc_link = nullptr;
  makecontext(&machine.start, FiberMain, 0);
  setcontext(&machine.start);
}

// Lets every ready thread run until it stops; forwards in one round, backwards in the next.
void RunRound() {
  machine.turn = 0;
  for (unsigned at = Next(); at < machine.threads; at = Next()) {
    if (machine.states[at] == State::kNew) {
      machine.fiber_of[at] =
          machine.idle_count > 0 ? machine.idle[--machine.idle_count] : machine.fibers++;
    }
    Begin(at);
    Enter(machine.fiber_of[at]);
  }
  machine.round += 1;
}

// Releases threads [first, first + count) when all of them wait at `state`.
bool Release(unsigned first, unsigned count, State state) {
  for (unsigned i = first; i < first + count; ++i) {
    if (machine.states[i] != state) return false;
  }
  for (unsigned i = first; i < first + count; ++i) machine.states[i] = State::kReady;
  return true;
}

[[noreturn]] void Deadlock() {
  std::fprintf(stderr, "emulated kernel: not all threads came to a barrier or a shuffle\n");
  std::abort();
}

// Barriers want every thread of the block, also on real hardware (CUDA C++ Programming Guide,
// Synchronization Functions); threads that are done count as gone only when none waits for them.
void RunBlock() {
  const unsigned threads = machine.threads;
  for (unsigned i = 0; i < threads; ++i) {
    machine.states[i] = State::kNew;
    machine.exchanges[i] = 0;
  }
  for (;;) {
    RunRound();
    bool any = Release(0, threads, State::kAtBarrier);
    for (unsigned i = 0; !any && i < threads; i += 32) {
      any |= Release(i, threads - i < 32 ? threads - i : 32, State::kAtExchange);
    }
    if (any) continue;
    for (unsigned i = 0; i < threads; ++i) {
      if (machine.states[i] != State::kDone) Deadlock();
    }
    return;
  }
}

// A thread that goes on where it stopped follows at once; the scheduler begins new ones and ends
// rounds.
void WaitAt(State state) {
  const unsigned fiber = machine.fiber_of[machine.current];
  machine.states[machine.current] = state;
  const unsigned next = Next();
  if (next < machine.threads && machine.states[next] == State::kReady) {
    Begin(next);
    Leave(fiber, machine.places[machine.fiber_of[next]]);
  } else {
    Leave(fiber, machine.scheduler);
  }
}

}  // namespace

void SyncThreads() { WaitAt(State::kAtBarrier); }

// Two places for each thread's value: it brings the next one while others read this one, and the
// one after that when all have read it.
uint64_t Exchange(uint64_t mine, unsigned partner) {
  const unsigned self = machine.current;
  const unsigned which = machine.exchanges[self];
  machine.exchanges[self] ^= 1;
  machine.values[self][which] = mine;
  WaitAt(State::kAtExchange);
  return machine.values[self / 32 * 32 + partner][which];
}

void RunGrid(dim3 grid, dim3 block, const std::function<void()>& kernel) {
  if (block.x > kMaxThreads || block.y * block.z != 1 || grid.y > 65535 || grid.z > 65535) {
    std::fprintf(stderr, "emulated kernel: impossible launch\n");
    std::abort();
  }
  machine.kernel = &kernel;
  machine.threads = block.x;
  blockDim = block;
  gridDim = grid;
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  const bool backwards = machine.round % 3 == 1;
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t at = backwards ? blocks - 1 - i : i;
    blockIdx = dim3(static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
                    static_cast<unsigned>(at / grid.x / grid.y));
    RunBlock();
  }
}

}  // namespace emulation
