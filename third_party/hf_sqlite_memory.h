/* The allocator that sqlite3.c is compiled with (CMakeLists.txt puts it in malloc's place, so that it does not matter who
 * uses SQLite first): the C library's, with a bound per thread that storage/sqlite_memory.h sets. */
#ifndef HF_SQLITE_MEMORY_H
#define HF_SQLITE_MEMORY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *hf_sqlite_malloc(size_t bytes);
void *hf_sqlite_realloc(void *memory, size_t bytes);
void hf_sqlite_free(void *memory);

/* From now on this thread's allocations are refused beyond so many bytes, less what is freed. Negative: no bound. */
void hf_sqlite_bound(long long bytes);
/* Whether one has been, since the bound was set. */
int hf_sqlite_refused(void);
/* For tests: the allocation after `count` others on this thread is refused, once. Negative: none. Answers what is left
 * of the count given before; negative when that refusal has happened or was never asked for. */
long long hf_sqlite_refuse_after(long long count);

#ifdef __cplusplus
}
#endif
#endif
