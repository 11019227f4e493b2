/*
 * Shifts the wall clock of the program that it is preloaded into, and makes its disk slow, as a small file
 * says that FAULTS_SHIM names: two numbers of 64 bits, the shift in milliseconds and how long each sync
 * takes in milliseconds. A write to a file takes a tenth of that. The monotonic clock is left alone, as a
 * step of a real clock leaves it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct told {
    volatile int64_t shift_ms;
    volatile int64_t slow_ms;
};

static const struct told nothing;
static const struct told *told = &nothing;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_gettimeofday)(struct timeval *, void *);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

/* Other libraries' constructors may ask for the time before ours has run. */
static void find(void)
{
    real_gettimeofday = dlsym(RTLD_NEXT, "gettimeofday");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    __atomic_store_n(&real_clock_gettime, dlsym(RTLD_NEXT, "clock_gettime"), __ATOMIC_RELEASE);
}

#define NEED_REAL() do { \
    if (!__atomic_load_n(&real_clock_gettime, __ATOMIC_ACQUIRE)) find(); \
} while (0)

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("FAULTS_SHIM");
    NEED_REAL();
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct told), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        told = mapped;
}

static void sleep_ms(int64_t ms)
{
    if (ms <= 0)
        return;
    struct timespec wait = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&wait, NULL);
}

static void slow_file(int file)
{
    struct stat found;
    int64_t ms = told->slow_ms / 10;
    if (ms > 0 && fstat(file, &found) == 0 && S_ISREG(found.st_mode))
        sleep_ms(ms);
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    NEED_REAL();
    int done = real_clock_gettime(clock, at);
    int64_t shift = told->shift_ms;
    if (done == 0 && shift != 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        at->tv_sec += shift / 1000;
        at->tv_nsec += shift % 1000 * 1000000;
        if (at->tv_nsec < 0) {
            at->tv_nsec += 1000000000;
            at->tv_sec--;
        } else if (at->tv_nsec >= 1000000000) {
            at->tv_nsec -= 1000000000;
            at->tv_sec++;
        }
    }
    return done;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    NEED_REAL();
    int done = zone ? real_gettimeofday(at, zone) : 0;
    if (done == 0 && clock_gettime(CLOCK_REALTIME, &now) == 0) {
        at->tv_sec = now.tv_sec;
        at->tv_usec = now.tv_nsec / 1000;
    }
    return done;
}

time_t time(time_t *at)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return (time_t)-1;
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

ssize_t write(int file, const void *bytes, size_t count)
{
    NEED_REAL();
    slow_file(file);
    return real_write(file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off_t at)
{
    NEED_REAL();
    slow_file(file);
    return real_pwrite(file, bytes, count, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at)
{
    return pwrite64(file, bytes, count, at);
}

ssize_t pwritev64(int file, const struct iovec *parts, int count, off_t at)
{
    NEED_REAL();
    slow_file(file);
    return real_pwritev(file, parts, count, at);
}

ssize_t pwritev(int file, const struct iovec *parts, int count, off_t at)
{
    return pwritev64(file, parts, count, at);
}

int fsync(int file)
{
    NEED_REAL();
    sleep_ms(told->slow_ms);
    return real_fsync(file);
}

int fdatasync(int file)
{
    NEED_REAL();
    sleep_ms(told->slow_ms);
    return real_fdatasync(file);
}
