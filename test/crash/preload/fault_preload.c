// For tests only, in a real server below our own Disk (LD_PRELOAD): calls on files whose path contains HF_FAULT_PATH
// fail as the environment says, so that the code that talks to the kernel is tested and not only what stands on it.
//   HF_FAULT_CALL   pwritev, fdatasync, fsync, syncfs, fallocate, ftruncate, rename
//   HF_FAULT_AT     the n-th such call fails, from 1; those after it do not, but for HF_FAULT_STAYS
//   HF_FAULT_STAYS  1: all after it fail as well
//   HF_FAULT_ERROR  eio, enospc, or short: a write that writes half
//   HF_FAULT_ARM    a file: calls are counted only while it is there
//   HF_FAULT_HIT    a file that is made when a call fails
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#pragma GCC visibility push(default)

static atomic_long calls;

static void hit(void) {
  const char *path = getenv("HF_FAULT_HIT");
  if (path == NULL) return;
  const int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (file >= 0) close(file);
}

static int names(const char *path) {
  const char *part = getenv("HF_FAULT_PATH");
  const char *arm = getenv("HF_FAULT_ARM");
  if (part == NULL || strstr(path, part) == NULL) return 0;
  return arm == NULL || access(arm, F_OK) == 0;
}

// Whether this call fails.
static int fails(const char *call, const char *path) {
  const int before = errno;
  const char *wanted = getenv("HF_FAULT_CALL");
  const char *at = getenv("HF_FAULT_AT");
  int answer = 0;
  if (wanted != NULL && at != NULL && strcmp(wanted, call) == 0 && names(path)) {
    const long count = atomic_fetch_add(&calls, 1) + 1;
    const char *stays = getenv("HF_FAULT_STAYS");
    answer = count == atol(at) || (stays != NULL && *stays == '1' && count > atol(at));
  }
  if (answer) hit();
  errno = before;
  return answer;
}

static int failsOn(const char *call, int file) {
  char link[64];
  char path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return fails(call, path);
}

static int fault(void) {
  const char *error = getenv("HF_FAULT_ERROR");
  errno = error != NULL && strcmp(error, "enospc") == 0 ? ENOSPC : EIO;
  return -1;
}

static int isShort(void) {
  const char *error = getenv("HF_FAULT_ERROR");
  return error != NULL && strcmp(error, "short") == 0;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static ssize_t writeVectors(const char *call, __typeof__(&pwritev64) next, int file, const struct iovec *parts, int count,
                            off64_t offset) {
  if (!failsOn(call, file)) return next(file, parts, count, offset);
  if (!isShort()) return fault();
  struct iovec half = parts[0];
  half.iov_len = (half.iov_len + 1) / 2;
  return next(file, &half, 1, offset);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t offset) {
  return writeVectors("pwritev", (__typeof__(&pwritev64))NEXT(pwritev), file, parts, count, offset);
}
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t offset) {
  return writeVectors("pwritev", NEXT(pwritev64), file, parts, count, offset);
}

int fdatasync(int file) { return failsOn("fdatasync", file) ? fault() : NEXT(fdatasync)(file); }
int fsync(int file) { return failsOn("fsync", file) ? fault() : NEXT(fsync)(file); }
int syncfs(int file) { return failsOn("syncfs", file) ? fault() : NEXT(syncfs)(file); }

int fallocate(int file, int mode, off_t offset, off_t bytes) {
  return failsOn("fallocate", file) ? fault() : NEXT(fallocate)(file, mode, offset, bytes);
}
int fallocate64(int file, int mode, off64_t offset, off64_t bytes) {
  return failsOn("fallocate", file) ? fault() : NEXT(fallocate64)(file, mode, offset, bytes);
}
// This one returns the error.
int posix_fallocate(int file, off_t offset, off_t bytes) {
  if (!failsOn("fallocate", file)) return NEXT(posix_fallocate)(file, offset, bytes);
  fault();
  return errno;
}
int posix_fallocate64(int file, off64_t offset, off64_t bytes) {
  if (!failsOn("fallocate", file)) return NEXT(posix_fallocate64)(file, offset, bytes);
  fault();
  return errno;
}
int ftruncate(int file, off_t bytes) { return failsOn("ftruncate", file) ? fault() : NEXT(ftruncate)(file, bytes); }
int ftruncate64(int file, off64_t bytes) { return failsOn("ftruncate", file) ? fault() : NEXT(ftruncate64)(file, bytes); }

int rename(const char *from, const char *to) { return fails("rename", to) ? fault() : NEXT(rename)(from, to); }
