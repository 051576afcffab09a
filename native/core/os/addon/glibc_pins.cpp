// The addon runs on every glibc from 2.28 on (Node 20's own oldest), whichever it was built with.
// Newer versions of these functions differ from the old ones in where they live or in how they
// report errors of arguments that do not occur here, so that the oldest version is asked for. The
// linker's --wrap (cmake/Addon.cmake has the list) sends calls of NAME to __wrap_NAME, those inside
// the static libstdc++ too, which a .symver in our own sources alone would not reach.
// test/embed/symbols.test.ts looks at the result.
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#ifdef __x86_64__
#define STRUPRUNE_OLDEST "GLIBC_2.2.5"
#else
#define STRUPRUNE_OLDEST "GLIBC_2.17"
#endif

#define STRUPRUNE_PIN(result, name, parameters, arguments)                \
  extern "C" result struprune_old_##name parameters;                      \
  __asm__(".symver struprune_old_" #name "," #name "@" STRUPRUNE_OLDEST); \
  extern "C" result __wrap_##name parameters { return struprune_old_##name arguments; }

STRUPRUNE_PIN(double, log, (double x), (x))
STRUPRUNE_PIN(double, exp, (double x), (x))
STRUPRUNE_PIN(double, pow, (double x, double y), (x, y))
STRUPRUNE_PIN(void*, dlopen, (const char* file, int mode), (file, mode))
STRUPRUNE_PIN(void*, dlsym, (void* library, const char* name), (library, name))
STRUPRUNE_PIN(char*, dlerror, (), ())
STRUPRUNE_PIN(int, pthread_create,
              (pthread_t * thread, const pthread_attr_t* attributes, void* (*start)(void*),
               void* argument),
              (thread, attributes, start, argument))
STRUPRUNE_PIN(int, pthread_join, (pthread_t thread, void** result), (thread, result))
STRUPRUNE_PIN(int, pthread_detach, (pthread_t thread), (thread))
STRUPRUNE_PIN(int, pthread_once, (pthread_once_t * once, void (*routine)()), (once, routine))
STRUPRUNE_PIN(int, pthread_key_create, (pthread_key_t * key, void (*destroy)(void*)),
              (key, destroy))
STRUPRUNE_PIN(int, pthread_key_delete, (pthread_key_t key), (key))
STRUPRUNE_PIN(void*, pthread_getspecific, (pthread_key_t key), (key))
STRUPRUNE_PIN(int, pthread_setspecific, (pthread_key_t key, const void* value), (key, value))

extern "C" {

// Before 2.33 they were no functions of the library but inline.
int __wrap_fstat(int file, struct stat* status) {
  return static_cast<int>(syscall(SYS_fstat, file, status));
}
int __wrap_fstat64(int file, struct stat* status) { return __wrap_fstat(file, status); }

// Of 2.36; std::random_device asks for it.
uint32_t __wrap_arc4random() {
  uint32_t value = 0;
  if (getentropy(&value, sizeof value) != 0) abort();
  return value;
}

// What libstdc++ asks before it leaves out atomic operations: never.
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;

}  // extern "C"
