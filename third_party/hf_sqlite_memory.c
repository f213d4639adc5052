#include "hf_sqlite_memory.h"

#include <malloc.h>
#include <stdlib.h>

static _Thread_local int bounded;
static _Thread_local int refused;
static _Thread_local long long left;
static _Thread_local long long refuse_after = -1;

static int allows(long long bytes) {
  if (refuse_after >= 0 && refuse_after-- == 0) return 0;
  if (!bounded || bytes <= left) return 1;
  refused = 1;
  return 0;
}

void *hf_sqlite_malloc(size_t bytes) {
  void *memory;
  if (!allows((long long)bytes)) return NULL;
  memory = malloc(bytes);
  if (memory != NULL) left -= (long long)malloc_usable_size(memory);
  return memory;
}

void *hf_sqlite_realloc(void *memory, size_t bytes) {
  const long long before = (long long)malloc_usable_size(memory);
  void *moved;
  if ((long long)bytes > before && !allows((long long)bytes - before)) return NULL;
  moved = realloc(memory, bytes);
  if (moved != NULL) left -= (long long)malloc_usable_size(moved) - before;
  return moved;
}

void hf_sqlite_free(void *memory) {
  left += (long long)malloc_usable_size(memory);
  free(memory);
}

void hf_sqlite_bound(long long bytes) {
  bounded = bytes >= 0;
  left = bytes;
  refused = 0;
}

int hf_sqlite_refused(void) { return refused; }

long long hf_sqlite_refuse_after(long long count) {
  const long long before = refuse_after;
  refuse_after = count;
  return before;
}
