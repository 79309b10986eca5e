/* Writes down what a program does to the files below RESTANTE_RECORD_DIR, for LD_PRELOAD: every change of a file or of
   a directory, the beginning and the end of every sync, and what was said on standard output, one after the other in
   the file RESTANTE_RECORD_JOURNAL. What a loss of power at any point would have left can be told from that.

   A record: kind, length of a path, inode, two numbers, length of data (six 64-bit numbers); the path; the data.
   A change is made and written down under one lock, so that the order is the true one. A sync is not under the lock,
   and takes a while (RESTANTE_RECORD_SLOW, in microseconds): what is written meanwhile is not covered by it.

   RESTANTE_RECORD_FAIL, three numbers, lets one call fail: of which kind, after how many, with which errno. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, SET_LEN, PUNCH, RENAME, UNLINK, MKDIR, SYNC_BEGIN, SYNC_END, SAID, UNKNOWN, FAILED, SYNC_FAILED };

#define FDS 65536
static int journal = -1;
static const char *dir;
static size_t dir_len;
static unsigned slow;
static char *volatile path_of[FDS];
static uint64_t inode_of[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t syncs;
static unsigned long fail_kind, fail_after, fail_errno, failing;

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("RESTANTE_RECORD_JOURNAL"), *wait = getenv("RESTANTE_RECORD_SLOW");
  dir = getenv("RESTANTE_RECORD_DIR");
  if (!path || !dir) return;
  dir_len = strlen(dir);
  slow = wait ? (unsigned)atoi(wait) : 0;
  const char *fail = getenv("RESTANTE_RECORD_FAIL");
  if (fail && sscanf(fail, "%lu %lu %lu", &fail_kind, &fail_after, &fail_errno) != 3) abort();
  int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
  int fd = real(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  journal = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 1000);
  if (journal < 0) abort();
}

static void note(uint64_t kind, const char *path, uint64_t inode, uint64_t a, uint64_t b, const void *data, size_t n) {
  static ssize_t (*real)(int, const struct iovec *, int);
  if (!real) real = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
  int before = errno;
  size_t len = path ? strlen(path) : 0;
  uint64_t head[6] = { kind, len, inode, a, b, n };
  struct iovec all[3] = { { head, sizeof head }, { (void *)path, len }, { (void *)data, n } };
  if (real(journal, all, 3) != (ssize_t)(sizeof head + len + n)) abort();
  errno = before;
}

/* Whether this call fails. */
static int fails(uint64_t kind) {
  if (kind != fail_kind || __sync_fetch_and_add(&failing, 1) != fail_after) return 0;
  note(FAILED, NULL, 0, kind, fail_after, NULL, 0);
  errno = (int)fail_errno;
  return 1;
}

static int meant(const char *path) { return journal >= 0 && path && strncmp(path, dir, dir_len) == 0; }
static const char *ours(int fd) { return journal >= 0 && fd >= 0 && fd < FDS ? path_of[fd] : NULL; }

static int opened(const char *path, int fd, int flags) {
  if (fd < 0 || fd >= FDS) return fd;
  path_of[fd] = NULL;
  struct stat seen;
  if (!meant(path) || fstat(fd, &seen) != 0) return fd;
  inode_of[fd] = seen.st_ino;
  path_of[fd] = strdup(path);
  if (S_ISDIR(seen.st_mode)) return fd;
  if (flags & O_CREAT) note(CREATE, path, seen.st_ino, 0, 0, NULL, 0);
  if (flags & O_TRUNC) note(SET_LEN, NULL, seen.st_ino, 0, 0, NULL, 0);
  return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }
#define LOCKED(result, call) pthread_mutex_lock(&lock); __typeof__(call) result = call
#define FAILS(kind) if (fails(kind)) return -1
#define UNLOCKED(result) pthread_mutex_unlock(&lock); return result

int open(const char *path, int flags, ...) { MODE REAL(open); if (!meant(path)) return opened(path, real(path, flags, mode), flags); if (flags & O_CREAT) { FAILS(CREATE); } LOCKED(fd, opened(path, real(path, flags, mode), flags)); UNLOCKED(fd); }
int open64(const char *path, int flags, ...) { MODE REAL(open64); if (!meant(path)) return opened(path, real(path, flags, mode), flags); if (flags & O_CREAT) { FAILS(CREATE); } LOCKED(fd, opened(path, real(path, flags, mode), flags)); UNLOCKED(fd); }

/* The path of a name in a directory that is open. */
static const char *below(int at, const char *name, char *to) {
  if (name[0] == '/' || at == AT_FDCWD) return name;
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", at);
  ssize_t n = readlink(link, to, PATH_MAX);
  if (n < 0 || n + strlen(name) + 2 > PATH_MAX) return name;
  to[n] = '/';
  strcpy(to + n + 1, name);
  return to;
}
int openat(int at, const char *path, int flags, ...) { MODE REAL(openat); char full[PATH_MAX]; const char *name = below(at, path, full); if (!meant(name)) return opened(name, real(at, path, flags, mode), flags); LOCKED(fd, opened(name, real(at, path, flags, mode), flags)); UNLOCKED(fd); }
int openat64(int at, const char *path, int flags, ...) { MODE REAL(openat64); char full[PATH_MAX]; const char *name = below(at, path, full); if (!meant(name)) return opened(name, real(at, path, flags, mode), flags); LOCKED(fd, opened(name, real(at, path, flags, mode), flags)); UNLOCKED(fd); }

int close(int fd) { REAL(close); if (fd >= 0 && fd < FDS) path_of[fd] = NULL; return real(fd); }

/* A second descriptor of the same file. */
int fcntl(int fd, int what, ...) {
  REAL(fcntl);
  va_list more; va_start(more, what); void *with = va_arg(more, void *); va_end(more);
  int made = real(fd, what, with);
  if ((what == F_DUPFD || what == F_DUPFD_CLOEXEC) && made >= 0 && made < FDS && ours(fd)) { inode_of[made] = inode_of[fd]; path_of[made] = path_of[fd]; }
  return made;
}
int fcntl64(int fd, int what, ...) {
  REAL(fcntl64);
  va_list more; va_start(more, what); void *with = va_arg(more, void *); va_end(more);
  int made = real(fd, what, with);
  if ((what == F_DUPFD || what == F_DUPFD_CLOEXEC) && made >= 0 && made < FDS && ours(fd)) { inode_of[made] = inode_of[fd]; path_of[made] = path_of[fd]; }
  return made;
}

/* What is said counts from before it can be heard. */
ssize_t write(int fd, const void *from, size_t n) {
  REAL(write);
  if (fd == 1 && journal >= 0) { pthread_mutex_lock(&lock); note(SAID, NULL, 0, 0, 0, from, n); pthread_mutex_unlock(&lock); return real(fd, from, n); }
  if (!ours(fd)) return real(fd, from, n);
  FAILS(WRITE);
  pthread_mutex_lock(&lock);
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t done = real(fd, from, n);
  off_t end = lseek(fd, 0, SEEK_CUR);
  if (done > 0) note(WRITE, NULL, inode_of[fd], (uint64_t)(end - done < at ? at : end - done), 0, from, (size_t)done);
  pthread_mutex_unlock(&lock);
  return done;
}
#define WRITES_AT(name, type) ssize_t name(int fd, const void *from, size_t n, type at) { REAL(name); if (!ours(fd)) return real(fd, from, n, at); FAILS(WRITE); LOCKED(done, real(fd, from, n, at)); if (done > 0) note(WRITE, NULL, inode_of[fd], (uint64_t)at, 0, from, (size_t)done); UNLOCKED(done); }
WRITES_AT(pwrite, off_t)
WRITES_AT(pwrite64, off64_t)
/* Ways of writing that nobody here takes: should that change, the test must hear of it. */
ssize_t writev(int fd, const struct iovec *v, int n) { REAL(writev); if (ours(fd)) note(UNKNOWN, "writev", 0, 0, 0, NULL, 0); return real(fd, v, n); }
ssize_t copy_file_range(int a, off64_t *p, int b, off64_t *q, size_t n, unsigned f) { REAL(copy_file_range); if (ours(b)) note(UNKNOWN, "copy_file_range", 0, 0, 0, NULL, 0); return real(a, p, b, q, n, f); }
int link(const char *from, const char *to) { REAL(link); if (meant(to)) note(UNKNOWN, "link", 0, 0, 0, NULL, 0); return real(from, to); }

/* Which sync it is, over all processes. */
static uint64_t next_sync(void) { return ((uint64_t)getpid() << 32) | __sync_add_and_fetch(&syncs, 1); }
#define SYNCS(name) int name(int fd) { REAL(name); const char *path = ours(fd); if (!path) return real(fd); \
  uint64_t number = next_sync(); \
  pthread_mutex_lock(&lock); note(SYNC_BEGIN, path, inode_of[fd], number, 0, NULL, 0); pthread_mutex_unlock(&lock); \
  if (slow) usleep(slow); \
  int done = fails(SYNC_BEGIN) ? -1 : real(fd), why = errno; \
  pthread_mutex_lock(&lock); note(done == 0 ? SYNC_END : SYNC_FAILED, path, inode_of[fd], number, 0, NULL, 0); pthread_mutex_unlock(&lock); \
  errno = why; \
  return done; }
SYNCS(fsync)
SYNCS(fdatasync)
/* sync_file_range makes nothing durable: it is not written down. */

int rename(const char *from, const char *to) {
  REAL(rename);
  if (!meant(to)) return real(from, to);
  FAILS(RENAME);
  char both[2 * PATH_MAX];
  snprintf(both, sizeof both, "%s\n%s", from, to);
  LOCKED(done, real(from, to));
  if (done == 0) note(RENAME, both, 0, 0, 0, NULL, 0);
  UNLOCKED(done);
}
int unlink(const char *path) { REAL(unlink); if (!meant(path)) return real(path); FAILS(UNLINK); LOCKED(done, real(path)); if (done == 0) note(UNLINK, path, 0, 0, 0, NULL, 0); UNLOCKED(done); }
int rmdir(const char *path) { REAL(rmdir); if (!meant(path)) return real(path); LOCKED(done, real(path)); if (done == 0) note(UNLINK, path, 0, 0, 0, NULL, 0); UNLOCKED(done); }
int unlinkat(int at, const char *path, int flags) { REAL(unlinkat); char full[PATH_MAX]; const char *name = below(at, path, full); if (!meant(name)) return real(at, path, flags); LOCKED(done, real(at, path, flags)); if (done == 0) note(UNLINK, name, 0, 0, 0, NULL, 0); UNLOCKED(done); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); if (!meant(path)) return real(path, mode); FAILS(MKDIR); LOCKED(done, real(path, mode)); if (done == 0) note(MKDIR, path, 0, 0, 0, NULL, 0); UNLOCKED(done); }

#define CUTS(name, type) int name(int fd, type n) { REAL(name); if (!ours(fd)) return real(fd, n); FAILS(SET_LEN); LOCKED(done, real(fd, n)); if (done == 0) note(SET_LEN, NULL, inode_of[fd], (uint64_t)n, 0, NULL, 0); UNLOCKED(done); }
CUTS(ftruncate, off_t)
CUTS(ftruncate64, off64_t)
#define ALLOCATES(name, type) int name(int fd, int mode, type at, type n) { REAL(name); if (!ours(fd)) return real(fd, mode, at, n); FAILS(PUNCH); LOCKED(done, real(fd, mode, at, n)); \
  if (done == 0 && (mode & FALLOC_FL_PUNCH_HOLE)) note(PUNCH, NULL, inode_of[fd], (uint64_t)at, (uint64_t)n, NULL, 0); \
  if (done == 0 && !(mode & FALLOC_FL_KEEP_SIZE)) { note(UNKNOWN, "fallocate", 0, 0, 0, NULL, 0); } \
  UNLOCKED(done); }
ALLOCATES(fallocate, off_t)
ALLOCATES(fallocate64, off64_t)
