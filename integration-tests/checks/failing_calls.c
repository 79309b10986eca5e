/* Calls that fail when told to, for a program started with LD_PRELOAD. Only files below RESTANTE_FAULT_DIR are meant.
   What fails stands in the file RESTANTE_FAULT_CONTROL, ten 32-bit numbers: which call (see below), how many of them
   pass first, how many fail then, with which errno, whether a write that fails has written its first half, how many
   have failed, how many came in all; and for reads, where the inode is not 0, of which file and which of its sectors of
   512 octets, from and until. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, OPEN, READ, WRITE, SYNC, RENAME, UNLINK, TRUNCATE, ALLOCATE, MKDIR, STATVFS };
enum { CALL, SKIP, TIMES, ERROR, HALF, FAILED, SEEN, INODE, FROM, UNTIL };

static volatile uint32_t *control;
static const char *dir;
static size_t dir_len;
static volatile unsigned char ours[65536];
static volatile uint32_t inode_of[65536];

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("RESTANTE_FAULT_CONTROL");
  dir = getenv("RESTANTE_FAULT_DIR");
  if (!path || !dir) return;
  dir_len = strlen(dir);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void *place = mmap(NULL, 40, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (place == MAP_FAILED) abort();
  control = place;
}

static int meant(const char *path) { return control && path && strncmp(path, dir, dir_len) == 0; }
static int is_ours(int fd) { return control && fd >= 0 && fd < 65536 && ours[fd]; }

/* Whether this call fails. */
static int fails(uint32_t call) {
  if (control[CALL] != call) return 0;
  __sync_fetch_and_add(&control[SEEN], 1);
  uint32_t left;
  while ((left = control[SKIP]) > 0)
    if (__sync_bool_compare_and_swap(&control[SKIP], left, left - 1)) return 0;
  while ((left = control[TIMES]) > 0)
    if (__sync_bool_compare_and_swap(&control[TIMES], left, left - 1)) {
      __sync_fetch_and_add(&control[FAILED], 1);
      errno = control[ERROR];
      return 1;
    }
  return 0;
}

/* Whether this read fails. */
static int bad(int fd, uint64_t at, uint64_t n) {
  if (control[INODE] == 0) return fails(READ);
  if (control[INODE] != inode_of[fd] || at + n <= control[FROM] * 512ull || at >= control[UNTIL] * 512ull) return 0;
  return fails(READ);
}

static int opened(const char *path, int fd) {
  if (fd < 0 || fd >= 65536) return fd;
  ours[fd] = meant(path) ? 1 : 0;
  struct stat seen;
  if (ours[fd] && fstat(fd, &seen) == 0) inode_of[fd] = (uint32_t)seen.st_ino;
  return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }
int open(const char *path, int flags, ...) { MODE REAL(open); if (meant(path) && fails(OPEN)) return -1; return opened(path, real(path, flags, mode)); }
int open64(const char *path, int flags, ...) { MODE REAL(open64); if (meant(path) && fails(OPEN)) return -1; return opened(path, real(path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { MODE REAL(openat); if (meant(path) && fails(OPEN)) return -1; return opened(path, real(at, path, flags, mode)); }
int openat64(int at, const char *path, int flags, ...) { MODE REAL(openat64); if (meant(path) && fails(OPEN)) return -1; return opened(path, real(at, path, flags, mode)); }
int close(int fd) { REAL(close); if (fd >= 0 && fd < 65536) ours[fd] = 0; return real(fd); }
DIR *opendir(const char *path) { REAL(opendir); if (meant(path) && fails(OPEN)) return NULL; return real(path); }

ssize_t read(int fd, void *to, size_t n) { REAL(read); if (is_ours(fd) && bad(fd, (uint64_t)lseek(fd, 0, SEEK_CUR), n)) return -1; return real(fd, to, n); }
ssize_t pread64(int fd, void *to, size_t n, off64_t at) { REAL(pread64); if (is_ours(fd) && bad(fd, (uint64_t)at, n)) return -1; return real(fd, to, n, at); }
ssize_t pread(int fd, void *to, size_t n, off_t at) { REAL(pread); if (is_ours(fd) && bad(fd, (uint64_t)at, n)) return -1; return real(fd, to, n, at); }

ssize_t write(int fd, const void *from, size_t n) {
  REAL(write);
  if (is_ours(fd) && fails(WRITE)) { int e = errno; if (control[HALF]) (void)!real(fd, from, n / 2); errno = e; return -1; }
  return real(fd, from, n);
}
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) {
  REAL(pwrite64);
  if (is_ours(fd) && fails(WRITE)) { int e = errno; if (control[HALF]) (void)!real(fd, from, n / 2, at); errno = e; return -1; }
  return real(fd, from, n, at);
}
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
  REAL(pwrite);
  if (is_ours(fd) && fails(WRITE)) { int e = errno; if (control[HALF]) (void)!real(fd, from, n / 2, at); errno = e; return -1; }
  return real(fd, from, n, at);
}
ssize_t writev(int fd, const struct iovec *v, int n) { REAL(writev); if (is_ours(fd) && fails(WRITE)) return -1; return real(fd, v, n); }

int fsync(int fd) { REAL(fsync); if (is_ours(fd) && fails(SYNC)) return -1; return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); if (is_ours(fd) && fails(SYNC)) return -1; return real(fd); }
int sync_file_range(int fd, off64_t at, off64_t n, unsigned int flags) { REAL(sync_file_range); if (is_ours(fd) && fails(SYNC)) return -1; return real(fd, at, n, flags); }

int rename(const char *from, const char *to) { REAL(rename); if (meant(to) && fails(RENAME)) return -1; return real(from, to); }
int unlink(const char *path) { REAL(unlink); if (meant(path) && fails(UNLINK)) return -1; return real(path); }
int ftruncate64(int fd, off64_t n) { REAL(ftruncate64); if (is_ours(fd) && fails(TRUNCATE)) return -1; return real(fd, n); }
int ftruncate(int fd, off_t n) { REAL(ftruncate); if (is_ours(fd) && fails(TRUNCATE)) return -1; return real(fd, n); }
int fallocate64(int fd, int mode, off64_t at, off64_t n) { REAL(fallocate64); if (is_ours(fd) && fails(ALLOCATE)) return -1; return real(fd, mode, at, n); }
int fallocate(int fd, int mode, off_t at, off_t n) { REAL(fallocate); if (is_ours(fd) && fails(ALLOCATE)) return -1; return real(fd, mode, at, n); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); if (meant(path) && fails(MKDIR)) return -1; return real(path, mode); }
int statvfs64(const char *path, struct statvfs64 *to) { REAL(statvfs64); if (meant(path) && fails(STATVFS)) return -1; return real(path, to); }
int statvfs(const char *path, struct statvfs *to) { REAL(statvfs); if (meant(path) && fails(STATVFS)) return -1; return real(path, to); }
int fstatvfs64(int fd, struct statvfs64 *to) { REAL(fstatvfs64); if (is_ours(fd) && fails(STATVFS)) return -1; return real(fd, to); }
