#include "cli/audio_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "cli/interrupt.h"

static int raw_fd = -1; /* of raw samples from a file */

static ptrdiff_t read_fd(void *user, void *bytes, size_t n) {
    int fd = *(const int *)user;
    for (;;) {
        if (!interrupt_wait_readable(fd)) return 0;
        ssize_t got = read(fd, bytes, n);
        if (got >= 0 || errno != EINTR) return got;
    }
}

static hone_status open_raw(hone_audio **audio, int *fd, const audio_input_settings *s) {
    int channels = s->pcm_channels == CLI_UNSET ? 1 : (int)s->pcm_channels;
    return hone_audio_open_pcm(audio, (int)s->pcm_rate, channels, read_fd, fd);
}

hone_status audio_input_open(hone_audio **audio, const char *name,
                             const audio_input_settings *s) {
    static int standard_input = STDIN_FILENO;
    bool raw = s->pcm_rate != CLI_UNSET, standard = !strcmp(name, "-");
    if (standard && raw) return open_raw(audio, &standard_input, s);
    if (standard) {
        /* a file that was redirected can be sought in, which some formats need */
        if (lseek(STDIN_FILENO, 0, SEEK_CUR) == 0) return hone_audio_open(audio, "/dev/stdin");
        return hone_audio_open_stream(audio, read_fd, &standard_input);
    }
    if (!raw) return hone_audio_open(audio, name);
    if (raw_fd >= 0) close(raw_fd);
    raw_fd = open(name, O_RDONLY | O_CLOEXEC);
    if (raw_fd < 0)
        return fail(errno == ENOENT ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: %s", name,
                    strerror(errno));
    return open_raw(audio, &raw_fd, s);
}
