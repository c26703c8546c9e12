// Preloaded into the daemon (LD_PRELOAD), this library writes down what it does to the files below
// one directory, and what of it was synced, so that the test can take back what a loss of power
// would have lost (journal.rs reads the journal, rewind.rs takes back).
//
//   POWER_LOSS_ROOT       the directory; without it the library does nothing
//   POWER_LOSS_JOURNAL    the file to write to
//   POWER_LOSS_GRAVEYARD  a directory of the same file system for files that are unlinked
//   POWER_LOSS_LIE        syncs that are answered and not made: "/" those of directories, else those
//                         of files whose name ends with this
//
// Before each change one line says what is going to happen, with what it destroys behind it; when it
// has happened or failed, another line says so. So a change that the kill met half way is known.
// A sync covers the changes whose end stands before its beginning. sync_file_range promises nothing
// and is not even intercepted. What the library cannot follow is written down too and fails the test.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 65536

static char root[PATH_MAX];
static size_t root_length;
static const char *graveyard;
static int journal = -1;
static const char *lie;
// Descriptors through which files below the root are written.
static _Atomic bool followed[DESCRIPTORS];
static _Atomic unsigned long last_id;

static void die(const char *what) {
    dprintf(2, "power loss library: %s: %s\n", what, strerror(errno));
    _exit(99);
}

__attribute__((constructor)) static void begin_journal(void) {
    const char *directory = getenv("POWER_LOSS_ROOT"), *file = getenv("POWER_LOSS_JOURNAL");
    graveyard = getenv("POWER_LOSS_GRAVEYARD");
    if (!directory) return;
    if (!file || !graveyard || !realpath(directory, root)) die("settings");
    lie = getenv("POWER_LOSS_LIE");
    int low = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    journal = syscall(SYS_fcntl, low, F_DUPFD_CLOEXEC, 900);
    if (journal < 0) die("journal");
    syscall(SYS_close, low);
    root_length = strlen(root);
}

// One write each, so that lines of different threads do not mix and a kill leaves whole ones.
static void note(const char *line, const void *content, size_t length) {
    struct iovec parts[] = {{(void *)line, strlen(line)}, {(void *)content, length}, {"\n", 1}};
    int kept = errno;
    ssize_t whole = parts[0].iov_len + length + 1;
    if (syscall(SYS_writev, journal, parts, 3) != whole) die("writing the journal");
    errno = kept;
}

static unsigned long microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000ul + now.tv_nsec / 1000;
}

static unsigned long begin(const void *content, size_t length, const char *format, ...) {
    unsigned long id = atomic_fetch_add(&last_id, 1) + 1;
    char line[3 * PATH_MAX];
    va_list values;
    va_start(values, format);
    int start = snprintf(line, sizeof line, "%c %lu %lu ", *format, id, microseconds());
    int end = vsnprintf(line + start, sizeof line - start - 1, format + 2, values);
    va_end(values);
    line[start + end] = '\n';
    line[start + end + 1] = 0;
    note(line, content, length);
    return id;
}

// Returns the result of the call that was made.
static long end(unsigned long id, long result) {
    char line[64];
    snprintf(line, sizeof line, "%c %lu %lu\n", result < 0 ? '-' : '+', id, microseconds());
    note(line, "", 0);
    return result;
}

// The beginning is written down before the call is made; arguments of a function have no order.
#define RECORDED(begun, call)      \
    ({                             \
        unsigned long id_ = begun; \
        end(id_, call);            \
    })

static void not_followed(const char *what) {
    char line[128];
    snprintf(line, sizeof line, "? 0 0 %s\n", what);
    note(line, "", 0);
}

// The path below the root that a descriptor stands for, empty for the root itself.
static bool path_of(int fd, char *path) {
    char link[64], full[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, full, sizeof full - 1);
    if (length < 0) return false;
    full[length] = 0;
    if (strncmp(full, root, root_length) || (full[root_length] && full[root_length] != '/')) return false;
    strcpy(path, full + root_length + (full[root_length] == '/'));
    return true;
}

// The path below the root of an entry that need not exist; its directory must.
static bool entry_of(int at, const char *name, char *path) {
    char directory[PATH_MAX], full[PATH_MAX];
    if (!root_length || strlen(name) >= sizeof directory) return false;
    strcpy(directory, name);
    char *slash = strrchr(directory, '/');
    const char *last = slash ? slash + 1 : name;
    int kept = errno;
    bool below = false;
    if (slash) {
        slash[slash == directory] = 0;
    } else {
        strcpy(directory, ".");
    }
    int fd = syscall(SYS_openat, at, directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        below = path_of(fd, full);
        syscall(SYS_close, fd);
        if (below && snprintf(path, PATH_MAX, "%s%s%s", full, *full ? "/" : "", slash ? strrchr(name, '/') + 1 : last) >= PATH_MAX) die("path");
    }
    errno = kept;
    return below;
}

static bool follows(int fd) {
    return fd >= 0 && fd < DESCRIPTORS && atomic_load_explicit(&followed[fd], memory_order_relaxed);
}

static void follow(int fd, bool yes) {
    if (fd >= DESCRIPTORS && yes) not_followed("descriptor number too high");
    if (fd >= 0 && fd < DESCRIPTORS) atomic_store(&followed[fd], yes);
}

static unsigned long file_number(int at, const char *name) {
    struct stat stat;
    int kept = errno;
    unsigned long number = fstatat(at, name, &stat, AT_SYMLINK_NOFOLLOW) ? 0 : stat.st_ino;
    errno = kept;
    return number;
}

// Bytes of a file that are about to be destroyed, to be freed by the caller.
static char *read_bytes(int fd, off_t at, size_t length) {
    char own[64], *bytes = malloc(length + 1);
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    int reading = syscall(SYS_openat, AT_FDCWD, own, O_RDONLY | O_CLOEXEC);
    if (!bytes || reading < 0) die("reading what is overwritten");
    for (size_t done = 0; done < length;) {
        ssize_t n = syscall(SYS_pread64, reading, bytes + done, length - done, at + done);
        if (n <= 0) die("reading what is overwritten");
        done += n;
    }
    syscall(SYS_close, reading);
    return bytes;
}

static unsigned long begin_write(int fd, off_t at, size_t length) {
    struct stat stat;
    int kept = errno;
    if (fstat(fd, &stat)) die("fstat");
    if (at < 0) {
        bool append = syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND;
        at = append ? stat.st_size : syscall(SYS_lseek, fd, 0, SEEK_CUR);
    }
    size_t lost = at >= stat.st_size ? 0 : (size_t)(stat.st_size - at) < length ? (size_t)(stat.st_size - at) : length;
    char *bytes = read_bytes(fd, at, lost);
    unsigned long id = begin(bytes, lost, "w %lu %ld %zu %ld %zu", stat.st_ino, at, length, stat.st_size, lost);
    free(bytes);
    errno = kept;
    return id;
}

static unsigned long begin_resize(int fd, off_t size) {
    struct stat stat;
    int kept = errno;
    if (fstat(fd, &stat)) die("fstat");
    size_t lost = size < stat.st_size ? stat.st_size - size : 0;
    char *bytes = read_bytes(fd, size, lost);
    unsigned long id = begin(bytes, lost, "t %lu %ld %ld %zu", stat.st_ino, size, stat.st_size, lost);
    free(bytes);
    errno = kept;
    return id;
}

static size_t sum(const struct iovec *parts, int count) {
    size_t total = 0;
    for (int i = 0; i < count; i++) total += parts[i].iov_len;
    return total;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (!follows(fd)) return syscall(SYS_write, fd, bytes, length);
    return RECORDED(begin_write(fd, -1, length), syscall(SYS_write, fd, bytes, length));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    if (!follows(fd)) return syscall(SYS_pwrite64, fd, bytes, length, at);
    return RECORDED(begin_write(fd, at, length), syscall(SYS_pwrite64, fd, bytes, length, at));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!follows(fd)) return syscall(SYS_writev, fd, parts, count);
    return RECORDED(begin_write(fd, -1, sum(parts, count)), syscall(SYS_writev, fd, parts, count));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    if (!follows(fd)) return syscall(SYS_pwritev, fd, parts, count, at, 0L);
    return RECORDED(begin_write(fd, at, sum(parts, count)), syscall(SYS_pwritev, fd, parts, count, at, 0L));
}

int ftruncate64(int fd, off64_t size) {
    if (!follows(fd)) return syscall(SYS_ftruncate, fd, size);
    return RECORDED(begin_resize(fd, size), syscall(SYS_ftruncate, fd, size));
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fallocate(int fd, int mode, off_t at, off_t length) {
    struct stat stat;
    // Room behind the end is neither content nor length.
    if (!follows(fd) || mode == FALLOC_FL_KEEP_SIZE) return syscall(SYS_fallocate, fd, mode, at, length);
    if (fstat(fd, &stat)) die("fstat");
    bool behind = at >= stat.st_size;
    if (mode == (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE) && behind) return syscall(SYS_fallocate, fd, mode, at, length);
    if (mode) not_followed("fallocate within a file");
    if (mode || at + length <= stat.st_size) return syscall(SYS_fallocate, fd, mode, at, length);
    return RECORDED(begin_resize(fd, at + length), syscall(SYS_fallocate, fd, mode, at, length));
}

int fallocate64(int fd, int mode, off64_t at, off64_t length) { return fallocate(fd, mode, at, length); }

int posix_fallocate(int fd, off_t at, off_t length) { return fallocate(fd, 0, at, length) ? errno : 0; }

int posix_fallocate64(int fd, off64_t at, off64_t length) { return posix_fallocate(fd, at, length); }

static bool lies_about(const char *path, bool is_directory) {
    if (!lie) return false;
    if (is_directory || *lie == '/') return is_directory && *lie == '/';
    size_t length = strlen(path), end = strlen(lie);
    return length >= end && !strcmp(path + length - end, lie);
}

static int sync_with(long call, int fd) {
    struct stat stat;
    char path[PATH_MAX];
    if (!root_length || !path_of(fd, path)) return syscall(call, fd);
    if (fstat(fd, &stat)) die("fstat");
    bool is_directory = S_ISDIR(stat.st_mode);
    if (lies_about(path, is_directory)) return 0;
    return RECORDED(begin("", 0, "s %lu %s", stat.st_ino, is_directory ? path : "."), syscall(call, fd));
}

int fsync(int fd) { return sync_with(SYS_fsync, fd); }

int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }

static int open_at(int at, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (!root_length || !(writes || flags & O_CREAT) || !entry_of(at, name, path)) return syscall(SYS_openat, at, name, flags, mode);
    if ((flags & O_TMPFILE) == O_TMPFILE) not_followed("a file without a name");
    bool creates = flags & O_CREAT && !file_number(at, name);
    unsigned long id = 0;
    if (creates) id = begin("", 0, "c %s", path);
    // What O_TRUNC would destroy is seen by ftruncate.
    bool empties = flags & O_TRUNC && writes && !creates;
    int fd = syscall(SYS_openat, at, name, empties ? flags & ~O_TRUNC : flags, mode);
    if (id) end(id, fd);
    if (fd >= 0) follow(fd, writes);
    if (fd >= 0 && empties) ftruncate64(fd, 0);
    return fd;
}

#define MODE(flags)                                          \
    mode_t mode = 0;                                         \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list values;                                      \
        va_start(values, flags);                             \
        mode = va_arg(values, mode_t);                       \
        va_end(values);                                      \
    }

int open(const char *name, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, name, flags, mode); }

int open64(const char *name, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, name, flags, mode); }

int openat(int at, const char *name, int flags, ...) { MODE(flags) return open_at(at, name, flags, mode); }

int openat64(int at, const char *name, int flags, ...) { MODE(flags) return open_at(at, name, flags, mode); }

int creat(const char *name, mode_t mode) { return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    follow(fd, false);
    return syscall(SYS_close, fd);
}

static int copied(int from, int to) {
    if (to >= 0) follow(to, follows(from));
    return to;
}

int dup(int fd) { return copied(fd, syscall(SYS_dup, fd)); }

int dup3(int fd, int to, int flags) { return copied(fd, syscall(SYS_dup3, fd, to, flags)); }

int dup2(int fd, int to) { return fd == to ? to : dup3(fd, to, 0); }

static int control(int fd, int command, long argument) {
    int result = syscall(SYS_fcntl, fd, command, argument);
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copied(fd, result) : result;
}

#define ARGUMENT(command)                 \
    va_list values;                       \
    va_start(values, command);            \
    long argument = va_arg(values, long); \
    va_end(values);

int fcntl(int fd, int command, ...) { ARGUMENT(command) return control(fd, command, argument); }

int fcntl64(int fd, int command, ...) { ARGUMENT(command) return control(fd, command, argument); }

// Keeps a file that is about to lose its name; its number, 0 when there is none.
static unsigned long bury(int at, const char *name) {
    unsigned long number = file_number(at, name);
    char grave[PATH_MAX];
    int kept = errno;
    snprintf(grave, sizeof grave, "%s/%lu", graveyard, number);
    if (number && syscall(SYS_linkat, at, name, AT_FDCWD, grave, 0) && errno != EEXIST) die("keeping an unlinked file");
    errno = kept;
    return number;
}

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_MAX];
    if (!entry_of(at, name, path)) return syscall(SYS_unlinkat, at, name, flags);
    unsigned long id = flags & AT_REMOVEDIR ? begin("", 0, "d %s", path)
                                            : begin("", 0, "u %lu %s", bury(at, name), path);
    return RECORDED(id, syscall(SYS_unlinkat, at, name, flags));
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char old[PATH_MAX], new[PATH_MAX];
    struct stat stat;
    bool leaves = entry_of(from_at, from, old), arrives = entry_of(to_at, to, new);
    if (!leaves && !arrives) return syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (!leaves || !arrives || flags) not_followed("renaming across the root");
    if (!fstatat(from_at, from, &stat, AT_SYMLINK_NOFOLLOW) && S_ISDIR(stat.st_mode)) not_followed("renaming a directory");
    unsigned long id = begin(new, strlen(new), "r %lu %lu %zu %s", file_number(from_at, from), bury(to_at, to), strlen(new), old);
    return RECORDED(id, syscall(SYS_renameat2, from_at, from, to_at, to, flags));
}

int renameat(int from_at, const char *from, int to_at, const char *to) { return renameat2(from_at, from, to_at, to, 0); }

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char path[PATH_MAX];
    if (!entry_of(to_at, to, path)) return syscall(SYS_linkat, from_at, from, to_at, to, flags);
    return RECORDED(begin("", 0, "c %s", path), syscall(SYS_linkat, from_at, from, to_at, to, flags));
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int mkdirat(int at, const char *name, mode_t mode) {
    char path[PATH_MAX];
    if (!entry_of(at, name, path)) return syscall(SYS_mkdirat, at, name, mode);
    return RECORDED(begin("", 0, "m %s", path), syscall(SYS_mkdirat, at, name, mode));
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

// Ways to write that nothing here uses so far.

int symlink(const char *to, const char *name) {
    char path[PATH_MAX];
    if (entry_of(AT_FDCWD, name, path)) not_followed("symlink");
    return syscall(SYS_symlinkat, to, AT_FDCWD, name);
}

int truncate(const char *name, off_t size) {
    char path[PATH_MAX];
    if (entry_of(AT_FDCWD, name, path)) not_followed("truncate");
    return syscall(SYS_truncate, name, size);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
    if (follows(to)) not_followed("sendfile");
    return syscall(SYS_sendfile, to, from, at, length);
}

ssize_t sendfile(int to, int from, off_t *at, size_t length) { return sendfile64(to, from, at, length); }

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
    if (follows(to)) not_followed("copy_file_range");
    return syscall(SYS_copy_file_range, from, from_at, to, to_at, length, flags);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t at) {
    if (follows(fd) && (flags & MAP_TYPE) != MAP_PRIVATE && protection & PROT_WRITE) not_followed("mmap");
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, at);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t at) {
    return mmap64(address, length, protection, flags, fd, at);
}
