/* ENGINE_ONLY builds carry no decoders: samples in memory are all that can be read. */
#include "base/status.h"
#include "hone/audio.h"

static hone_status refuse(void) {
    return fail(HONE_ERR_UNSUPPORTED, "this library was built without audio decoders");
}

hone_status hone_audio_open(hone_audio **audio, const char *path) {
    (void)audio, (void)path;
    return refuse();
}

hone_status hone_audio_open_bytes(hone_audio **audio, const void *bytes, size_t n_bytes) {
    (void)audio, (void)bytes, (void)n_bytes;
    return refuse();
}

hone_status hone_audio_open_stream(hone_audio **audio, hone_audio_reader *read, void *user) {
    (void)audio, (void)read, (void)user;
    return refuse();
}

hone_status hone_audio_open_pcm(hone_audio **audio, int rate, int n_channels,
                                hone_audio_reader *read, void *user) {
    (void)audio, (void)rate, (void)n_channels, (void)read, (void)user;
    return refuse();
}
