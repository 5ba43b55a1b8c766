/* Audio files over FFmpeg's libavformat and libavcodec.
 *
 * Only the formats and codecs named below are ever tried, all bytes come through the callbacks in
 * this file, and no file can make FFmpeg open another one (a protocol, a reference in an MP4). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "media/audio_int.h"
#include "media/ffmpeg.h"
#include "media/resample.h"

/* FFmpeg's demuxer and decoder names. */
static const char formats[] = "wav,w64,flac,mp3,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac";
static const char codecs[] =
    "pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_s16be,pcm_s24be,pcm_s32be,"
    "pcm_alaw,pcm_mulaw,flac,mp3float,mp3,vorbis,opus,aac,alac";

enum {
    IO_BYTES = 32 << 10,
    PROBE_BYTES = 1 << 20,
    MAX_BAD_PACKETS = 1000, /* without a good one between them */
    FAR_MORE = 16           /* a header that promises so many times what is there lies */
};

typedef struct file_source {
    const char *name; /* for errors while opening */
    /* where the bytes are: a descriptor, memory, or a callback */
    int fd; /* −1 = none */
    const uint8_t *bytes;
    size_t n_bytes, at;
    hone_audio_reader *read;
    void *read_user;
    bool read_failed;
    int64_t total_bytes; /* −1 = not known */
    uint8_t head[4096];  /* the file's beginning, as far as it was read without seeking */
    size_t n_head;
    bool sought;

    AVIOContext *io;
    AVFormatContext *format;
    AVStream *stream;
    AVCodecContext *decoder;
    AVPacket *packet;
    AVFrame *frame;
    bool drained;      /* the decoder was told that no more comes */
    bool ended;        /* … and the resampler */
    bool has_frame;    /* decoded at the opening, not handed out yet */
    bool open_ended;   /* the header does not say where it ends */
    bool truncated;
    size_t n_bad;      /* packets in a row */
    uint64_t n_decoded; /* samples of one channel */
    resampler resampler;
    float *mono;
    size_t mono_room;
    hone_audio *audio; /* who is told of truncation */
} file_source;

/* --- bytes --- */

static int read_bytes(void *user, uint8_t *to, int n) {
    file_source *f = user;
    ptrdiff_t got;
    if (f->bytes) {
        size_t left = f->n_bytes - f->at;
        got = (ptrdiff_t)(left < (size_t)n ? left : (size_t)n);
        memcpy(to, f->bytes + f->at, (size_t)got);
        f->at += (size_t)got;
    } else if (f->read) {
        got = f->read(f->read_user, to, (size_t)n);
        if (got > n) got = -1;
    } else {
        do got = read(f->fd, to, (size_t)n);
        while (got < 0 && errno == EINTR);
    }
    if (got < 0) f->read_failed = true;
    if (got > 0 && !f->sought) {
        size_t room = sizeof f->head - f->n_head, keep = (size_t)got < room ? (size_t)got : room;
        memcpy(f->head + f->n_head, to, keep);
        f->n_head += keep;
    }
    return got > 0 ? (int)got : got == 0 ? AVERROR_EOF : AVERROR(EIO);
}

static int64_t seek_bytes(void *user, int64_t to, int whence) {
    file_source *f = user;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return f->total_bytes;
    f->sought = true;
    if (!f->bytes) return lseek(f->fd, to, whence);
    int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)f->at
                                                               : (int64_t)f->n_bytes;
    if (to < -from || to > (int64_t)f->n_bytes - from) return AVERROR(EINVAL);
    f->at = (size_t)(from + to);
    return from + to;
}

static int refuse_to_open(AVFormatContext *format, AVIOContext **io, const char *url, int flags,
                          AVDictionary **options) {
    (void)format, (void)io, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

/* --- errors --- */

/* FFmpeg's codes, in the words of the file. */
static hone_status fail_av(const file_source *f, int code, const char *what) {
    char words[AV_ERROR_MAX_STRING_SIZE] = "";
    if (code == AVERROR(ENOMEM)) return fail(HONE_ERR_MEMORY, "%s: no memory to read it", f->name);
    if (f->read_failed) return fail(HONE_ERR_IO, "%s: reading failed", f->name);
    if (code == AVERROR_EOF || code == AVERROR_INVALIDDATA)
        return fail(HONE_ERR_FORMAT, "%s: damaged %s", f->name, what);
    ffmpeg.av_strerror(code, words, sizeof words);
    return fail(HONE_ERR_FORMAT, "%s: damaged %s (%s)", f->name, what, words);
}

/* --- opening --- */

/* What is there before FFmpeg is. */
static void close_bytes(file_source *f) {
    if (f->fd >= 0) close(f->fd);
    mem_free(f->mono);
    mem_free(f);
}

static void close_decoders(file_source *f) {
    ffmpeg.av_frame_free(&f->frame);
    ffmpeg.av_packet_free(&f->packet);
    ffmpeg.avcodec_free_context(&f->decoder);
    ffmpeg.avformat_close_input(&f->format);
    if (f->io) ffmpeg.av_freep(&f->io->buffer);
    ffmpeg.avio_context_free(&f->io);
    resampler_release(&f->resampler);
}

static void close_file(void *self) {
    close_decoders(self);
    close_bytes(self);
}

static hone_status open_io(file_source *f, bool seekable) {
    uint8_t *buffer = ffmpeg.av_malloc(IO_BYTES);
    if (buffer) f->io = ffmpeg.avio_alloc_context(buffer, IO_BYTES, 0, f, read_bytes, NULL,
                                           seekable ? seek_bytes : NULL);
    if (f->io) return HONE_OK;
    ffmpeg.av_free(buffer);
    return mem_fail("audio buffer", IO_BYTES);
}

static bool is_listed(const char *list, const char *names) {
    char one[32];
    for (; *names; names += strspn(names, ",")) {
        size_t n = strcspn(names, ",");
        if (n < sizeof one) {
            memcpy(one, names, n);
            one[n] = 0;
            for (const char *p = list; (p = strstr(p, one)); p += n)
                if ((p == list || p[-1] == ',') && (p[n] == ',' || p[n] == 0)) return true;
        }
        names += n;
    }
    return false;
}

static uint32_t u32_at(const uint8_t *p) {
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* What FFmpeg does not tell of a WAV header: that its rate is 0, and that its data chunk is far
 * longer than the file. (0xFFFFFFFF stands for an end that was not known when it was written.) */
static hone_status check_wav(file_source *f) {
    const uint8_t *head = f->head;
    for (size_t at = 12; at + 16 <= f->n_head;) {
        uint32_t bytes = u32_at(head + at + 4);
        if (!memcmp(head + at, "fmt ", 4) && u32_at(head + at + 12) == 0)
            return fail(HONE_ERR_FORMAT, "%s: a sample rate of 0 Hz", f->name);
        if (!memcmp(head + at, "data", 4)) {
            f->open_ended = bytes == UINT32_MAX;
            bool lies = !f->open_ended && f->total_bytes >= 0 &&
                        bytes / FAR_MORE > f->total_bytes;
            if (!lies) return HONE_OK;
            return fail(HONE_ERR_FORMAT, "%s: the header promises %u bytes of samples, the file "
                        "has %lld", f->name, bytes, (long long)f->total_bytes);
        }
        at += 8 + (size_t)bytes + bytes % 2;
    }
    return HONE_OK;
}

static hone_status open_format(file_source *f) {
    const AVInputFormat *input = NULL;
    int code = ffmpeg.av_probe_input_buffer2(f->io, &input, "", NULL, 0, PROBE_BYTES);
    if (f->read_failed) return fail_av(f, code, "file");
    if (f->io->bytes_read == 0) return fail(HONE_ERR_FORMAT, "%s: the file is empty", f->name);
    if (code < 0 || !input) return fail(HONE_ERR_FORMAT, "%s: not an audio file", f->name);
    if (!is_listed(formats, input->name))
        return fail(HONE_ERR_UNSUPPORTED, "%s: its format seems to be \"%s\", which hone does not "
                    "read; WAV, FLAC, MP3, Ogg, MP4/M4A, AAC and WebM are read", f->name,
                    input->name);
    if (!strcmp(input->name, "wav")) TRY(check_wav(f));
    f->format = ffmpeg.avformat_alloc_context();
    if (!f->format) return mem_fail("audio format", sizeof *f->format);
    f->format->pb = f->io;
    f->format->flags |= AVFMT_FLAG_CUSTOM_IO; /* closing it leaves f->io alone */
    f->format->io_open = refuse_to_open;
    f->format->format_whitelist = ffmpeg.av_strdup(formats);
    f->format->codec_whitelist = ffmpeg.av_strdup(codecs);
    f->format->probesize = PROBE_BYTES;
    if (!f->format->format_whitelist || !f->format->codec_whitelist)
        return mem_fail("audio format", sizeof codecs);
    code = ffmpeg.avformat_open_input(&f->format, "", input, NULL); /* frees it when it fails */
    return code < 0 ? fail_av(f, code, input->name) : HONE_OK;
}

static hone_status find_stream(file_source *f) {
    int code = ffmpeg.avformat_find_stream_info(f->format, NULL);
    if (code < 0) return fail_av(f, code, f->format->iformat->name);
    for (unsigned i = 0; i < f->format->nb_streams; i++) {
        AVStream *stream = f->format->streams[i];
        bool audio = stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
        if (audio && !f->stream) f->stream = stream;
        else stream->discard = AVDISCARD_ALL;
    }
    if (!f->stream) return fail(HONE_ERR_FORMAT, "%s: no audio in it", f->name);
    const AVCodecParameters *p = f->stream->codecpar;
    if (p->ch_layout.nb_channels > AUDIO_MAX_CHANNELS)
        return fail(HONE_ERR_FORMAT, "%s: %d channels; at most %d are read", f->name,
                    p->ch_layout.nb_channels, AUDIO_MAX_CHANNELS);
    return HONE_OK;
}

static hone_status open_decoder(file_source *f) {
    const AVCodecParameters *p = f->stream->codecpar;
    const AVCodec *codec = ffmpeg.avcodec_find_decoder(p->codec_id);
    if (!codec || !is_listed(codecs, codec->name))
        return fail(HONE_ERR_UNSUPPORTED, "%s: its audio is coded as \"%s\", which hone does not "
                    "read", f->name, ffmpeg.avcodec_get_name(p->codec_id));
    f->decoder = ffmpeg.avcodec_alloc_context3(codec);
    f->packet = ffmpeg.av_packet_alloc();
    f->frame = ffmpeg.av_frame_alloc();
    if (!f->decoder || !f->packet || !f->frame)
        return mem_fail("audio decoder", sizeof *f->decoder);
    int code = ffmpeg.avcodec_parameters_to_context(f->decoder, p);
    f->decoder->thread_count = 1;
    f->decoder->pkt_timebase = f->stream->time_base;
    if (code >= 0) code = ffmpeg.avcodec_open2(f->decoder, codec, NULL);
    return code < 0 ? fail_av(f, code, codec->name) : HONE_OK;
}

/* --- decoding --- */

/* The next frame into f->frame; *n_samples = 0 at the end. Broken packets are passed over, as every
 * player does; too many in a row are the end of the audio. */
static hone_status decode_frame(file_source *f, int *n_samples) {
    *n_samples = 0;
    for (;;) {
        int code = ffmpeg.avcodec_receive_frame(f->decoder, f->frame);
        if (code == 0 && f->frame->nb_samples > 0) {
            f->n_bad = 0;
            *n_samples = f->frame->nb_samples;
            return HONE_OK;
        }
        if (code == AVERROR_EOF || (f->drained && code < 0)) return HONE_OK;
        if (code == AVERROR(ENOMEM)) return mem_fail("audio frame", 0);
        if (code == 0) continue;
        if (code != AVERROR(EAGAIN)) f->n_bad++;
        if (f->n_bad > MAX_BAD_PACKETS) f->truncated = true;
        code = f->n_bad > MAX_BAD_PACKETS ? AVERROR_EOF
                                          : ffmpeg.av_read_frame(f->format, f->packet);
        if (code == AVERROR(ENOMEM)) return mem_fail("audio packet", 0);
        if (code < 0) {
            f->truncated |= code != AVERROR_EOF || f->read_failed;
            f->drained = true;
            ffmpeg.avcodec_send_packet(f->decoder, NULL);
            continue;
        }
        if (f->packet->stream_index == f->stream->index) {
            if (f->packet->flags & AV_PKT_FLAG_CORRUPT && !f->open_ended) f->truncated = true;
            code = ffmpeg.avcodec_send_packet(f->decoder, f->packet);
            if (code < 0) f->n_bad++;
        }
        ffmpeg.av_packet_unref(f->packet);
    }
}

/* Sample i of a plane or of interleaved channels, as a float in −1 … 1. */
static float sample_at(const void *data, enum AVSampleFormat packed, size_t i) {
    switch (packed) {
    case AV_SAMPLE_FMT_U8: return ((float)((const uint8_t *)data)[i] - 128) / 128;
    case AV_SAMPLE_FMT_S16: return (float)((const int16_t *)data)[i] / 32768;
    case AV_SAMPLE_FMT_S32: return (float)((const int32_t *)data)[i] / 2147483648.0f;
    case AV_SAMPLE_FMT_FLT: return ((const float *)data)[i];
    case AV_SAMPLE_FMT_DBL: return (float)((const double *)data)[i];
    default: return 0;
    }
}

/* mono[i] = the mean of the frame's channels. What is no finite number is silence already here,
 * since the resampler would spread it. */
static void mix_frame(const AVFrame *frame, float *mono) {
    enum AVSampleFormat packed = ffmpeg.av_get_packed_sample_fmt(frame->format);
    bool planar = ffmpeg.av_sample_fmt_is_planar(frame->format);
    size_t n = (size_t)frame->nb_samples, channels = (size_t)frame->ch_layout.nb_channels;
    memset(mono, 0, n * sizeof *mono);
    for (size_t c = 0; c < channels; c++) {
        const void *data = frame->extended_data[planar ? c : 0];
        size_t first = planar ? 0 : c, step = planar ? 1 : channels;
        for (size_t i = 0; i < n; i++) {
            float x = sample_at(data, packed, first + i * step);
            mono[i] += isfinite(x) ? x : 0;
        }
    }
    for (size_t i = 0; i < n; i++) mono[i] /= (float)channels;
}

/* A stream may change its rate or its channels from one frame to the next (AAC does). */
static hone_status check_frame(file_source *f) {
    int channels = f->frame->ch_layout.nb_channels, rate = f->frame->sample_rate;
    if (channels < 1 || channels > AUDIO_MAX_CHANNELS)
        return fail(HONE_ERR_FORMAT, "%d channels; 1 to %d are read", channels, AUDIO_MAX_CHANNELS);
    if (rate != f->resampler.rate) {
        resampler_release(&f->resampler);
        TRY(resampler_init(&f->resampler, rate));
    }
    size_t n = (size_t)f->frame->nb_samples;
    return mem_grow(&f->mono, &f->mono_room, n, sizeof *f->mono, "audio frame");
}

/* Less than 95 % of what the header states, where it states more than a guess. */
static void judge_length(file_source *f) {
    bool stated = f->format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE;
    double seconds = f->resampler.rate ? (double)f->n_decoded / f->resampler.rate : 0;
    double promised = (double)f->format->duration / AV_TIME_BASE;
    if (stated && f->format->duration > 0 && seconds < 0.95 * promised - 0.1) f->truncated = true;
    if (f->truncated) audio_set_truncated(f->audio);
}

static hone_status next_of_file(void *self, const float **samples, size_t *n) {
    file_source *f = self;
    *n = 0;
    while (*n == 0 && !f->ended) {
        int n_frame = f->has_frame ? f->frame->nb_samples : 0;
        if (!f->has_frame) TRY(decode_frame(f, &n_frame));
        f->has_frame = false;
        if (n_frame == 0) {
            f->ended = true;
            judge_length(f);
            return resampler_finish(&f->resampler, samples, n);
        }
        TRY(check_frame(f));
        f->n_decoded += (uint64_t)n_frame;
        mix_frame(f->frame, f->mono);
        TRY(resampler_run(&f->resampler, f->mono, (size_t)n_frame, samples, n));
    }
    return HONE_OK;
}

/* The first frame shows what the header cannot: that there is something to decode, and at which
 * rate. */
static hone_status decode_first(file_source *f) {
    int n;
    TRY(decode_frame(f, &n));
    f->has_frame = n > 0;
    if (n > 0) {
        hone_status status = check_frame(f);
        return status == HONE_OK ? HONE_OK : fail_context(status, "%s", f->name);
    }
    if (f->n_bad) return fail(HONE_ERR_FORMAT, "%s: nothing in it can be decoded", f->name);
    return HONE_OK;
}

static hone_status open_all(file_source *f, bool seekable) {
    TRY(open_io(f, seekable));
    TRY(open_format(f));
    TRY(find_stream(f));
    TRY(open_decoder(f));
    return decode_first(f);
}

/* Everything anew, over the same bytes. */
static hone_status rewind_file(void *self) {
    file_source *f = self;
    close_decoders(f);
    *f = (file_source){.name = "audio", .fd = f->fd, .bytes = f->bytes, .n_bytes = f->n_bytes,
                       .total_bytes = f->total_bytes, .mono = f->mono, .mono_room = f->mono_room,
                       .audio = f->audio};
    if (!f->bytes && lseek(f->fd, 0, SEEK_SET) != 0)
        return fail(HONE_ERR_IO, "audio: %s", strerror(errno));
    return open_all(f, true);
}

/* Takes `f` over. */
static hone_status open_source(hone_audio **audio, file_source *f, bool seekable) {
    hone_status status = ffmpeg_load();
    if (status != HONE_OK) {
        fail_context(status, "%s", f->name);
        close_bytes(f);
        return status;
    }
    status = open_all(f, seekable);
    if (status != HONE_OK) {
        close_file(f);
        return status;
    }
    const AVFrame *frame = f->has_frame ? f->frame : NULL;
    const AVCodecParameters *p = f->stream->codecpar;
    const hone_audio_info info = {
        .container = f->format->iformat->name,
        .codec = ffmpeg.avcodec_get_name(p->codec_id),
        .rate = frame ? frame->sample_rate : p->sample_rate,
        .n_channels = frame ? frame->ch_layout.nb_channels : p->ch_layout.nb_channels,
        .seconds = f->format->duration > 0 ? (double)f->format->duration / AV_TIME_BASE : 0,
    };
    audio_source source = {f, next_of_file, close_file, seekable ? rewind_file : NULL};
    TRY(audio_wrap(audio, &source, &info));
    f->audio = *audio;
    f->name = NULL;
    return HONE_OK;
}

/* NULL when memory is short, with the words set. */
static file_source *new_source(const char *name) {
    file_source *f = mem_calloc(1, sizeof *f);
    if (!f) {
        mem_fail("audio reader", sizeof *f);
        return NULL;
    }
    f->name = name;
    f->fd = -1;
    f->total_bytes = -1;
    return f;
}

hone_status hone_audio_open(hone_audio **audio, const char *path) {
    file_source *f = new_source(path);
    if (!f) return HONE_ERR_MEMORY;
    f->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0) {
        hone_status status = errno == ENOENT || errno == ENOTDIR ? HONE_ERR_NOT_FOUND : HONE_ERR_IO;
        status = fail(status, "%s: %s", path, strerror(errno));
        close_bytes(f);
        return status;
    }
    f->total_bytes = lseek(f->fd, 0, SEEK_END); /* −1 of a pipe */
    bool seekable = f->total_bytes >= 0 && lseek(f->fd, 0, SEEK_SET) == 0;
    return open_source(audio, f, seekable);
}

hone_status hone_audio_open_bytes(hone_audio **audio, const void *bytes, size_t n_bytes) {
    file_source *f = new_source("audio");
    if (!f) return HONE_ERR_MEMORY;
    f->bytes = n_bytes ? bytes : (const uint8_t *)"";
    f->n_bytes = n_bytes;
    f->total_bytes = (int64_t)n_bytes;
    return open_source(audio, f, true);
}

hone_status hone_audio_open_stream(hone_audio **audio, hone_audio_reader *read, void *user) {
    file_source *f = new_source("audio");
    if (!f) return HONE_ERR_MEMORY;
    f->read = read;
    f->read_user = user;
    return open_source(audio, f, false);
}
