/* Opening FFmpeg's libraries (media/ffmpeg.h). */
#include "media/ffmpeg.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#define NUMBER(n) NUMBER_TEXT(n)
#define NUMBER_TEXT(n) #n
#ifdef __APPLE__
#define LIBRARY(name, major) "lib" name "." NUMBER(major) ".dylib"
#else
#define LIBRARY(name, major) "lib" name ".so." NUMBER(major)
#endif

ffmpeg_functions ffmpeg;
static char problem[300]; /* "" where all is well */

/* In the order in which they need each other. */
static const char *const libraries[] = {
    LIBRARY("avutil", LIBAVUTIL_VERSION_MAJOR), LIBRARY("swresample", LIBSWRESAMPLE_VERSION_MAJOR),
    LIBRARY("avcodec", LIBAVCODEC_VERSION_MAJOR), LIBRARY("avformat", LIBAVFORMAT_VERSION_MAJOR)};

enum { N_LIBRARIES = sizeof libraries / sizeof *libraries };

static void *find(void *const handles[N_LIBRARIES], const char *name) {
    for (size_t i = 0; i < N_LIBRARIES; i++) {
        void *found = dlsym(handles[i], name);
        if (found) return found;
    }
    snprintf(problem, sizeof problem, "FFmpeg's libraries have no %s", name);
    return NULL;
}

/* Libraries stay open: they are not made to be unloaded. */
static void load(void) {
    void *handles[N_LIBRARIES];
    for (size_t i = 0; i < N_LIBRARIES; i++) {
        handles[i] = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
        if (handles[i]) continue;
        snprintf(problem, sizeof problem, "FFmpeg's libraries read audio, and %s is not there: "
                 "install FFmpeg (Debian: libavformat%s)", libraries[i],
                 NUMBER(LIBAVFORMAT_VERSION_MAJOR));
        return;
    }
    /* POSIX promises that a function's address fits into a void pointer. */
#define X(name) *(void **)&ffmpeg.name = find(handles, #name);
    FFMPEG_FUNCTIONS(X)
#undef X
    /* Its own chatter would go to standard error. A program that chose a level keeps it. */
    if (!problem[0] && ffmpeg.av_log_get_level() == AV_LOG_INFO)
        ffmpeg.av_log_set_level(AV_LOG_QUIET);
}

hone_status ffmpeg_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return problem[0] ? fail(HONE_ERR_UNSUPPORTED, "%s", problem) : HONE_OK;
}
