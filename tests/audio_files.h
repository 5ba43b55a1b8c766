/* Audio files made in memory, for tests of reading: WAV by hand, the rest by FFmpeg's encoders. */
#ifndef TESTS_AUDIO_FILES_H
#define TESTS_AUDIO_FILES_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswresample/swresample.h>
#include <stdint.h>

#include "test.h"

typedef struct audio_bytes {
    uint8_t *data;
    size_t n;
} audio_bytes;

static inline void audio_put(uint8_t *at, uint32_t value, int n) {
    for (int i = 0; i < n; i++) at[i] = (uint8_t)(value >> 8 * i);
}

/* A WAV file of `bits` per sample (float where `is_float`) whose header states `data_bytes`. Free
 * data. */
static inline audio_bytes audio_wav(uint32_t rate, uint32_t channels, uint32_t bits, int is_float,
                                    const void *data, size_t n, uint32_t data_bytes) {
    audio_bytes file = {malloc(44 + n), 44 + n};
    memcpy(file.data, "RIFF....WAVEfmt ", 16);
    audio_put(file.data + 4, data_bytes + 36, 4);
    audio_put(file.data + 16, 16, 4);
    audio_put(file.data + 20, is_float ? 3 : 1, 2);
    audio_put(file.data + 22, channels, 2);
    audio_put(file.data + 24, rate, 4);
    audio_put(file.data + 28, rate * channels * bits / 8, 4);
    audio_put(file.data + 32, channels * bits / 8, 2);
    audio_put(file.data + 34, bits, 2);
    memcpy(file.data + 36, "data", 4);
    audio_put(file.data + 40, data_bytes, 4);
    if (n) memcpy(file.data + 44, data, n);
    return file;
}

/* A tone of 440 Hz, amplitude ½, 16 bits, the same on all channels. */
static inline int16_t *audio_tone(size_t rate, size_t channels, size_t n) {
    int16_t *samples = malloc((n * channels + 1) * sizeof *samples);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < channels; c++)
            samples[i * channels + c] =
                (int16_t)lrint(16384 * sin(2 * M_PI * 440 * (double)i / (double)rate));
    return samples;
}

static inline int audio_encode_frame(AVFormatContext *out, AVCodecContext *encoder,
                                     const AVFrame *frame) {
    AVPacket *packet = av_packet_alloc();
    int code = avcodec_send_frame(encoder, frame);
    while (code >= 0 && avcodec_receive_packet(encoder, packet) >= 0) {
        av_packet_rescale_ts(packet, encoder->time_base, out->streams[0]->time_base);
        code = av_interleaved_write_frame(out, packet);
    }
    av_packet_free(&packet);
    return code;
}

/* The tone in any container and codec that the FFmpeg at hand can write; data is NULL where it
 * cannot. Free data with av_free. */
static inline audio_bytes audio_encode(const char *container, const char *codec_name, int rate,
                                       int channels, size_t n) {
    audio_bytes file = {NULL, 0};
    const AVCodec *codec = avcodec_find_encoder_by_name(codec_name);
    AVFormatContext *out = NULL;
    if (!codec || avformat_alloc_output_context2(&out, NULL, container, NULL) < 0) return file;
    AVCodecContext *encoder = avcodec_alloc_context3(codec);
    av_channel_layout_default(&encoder->ch_layout, channels);
    encoder->sample_rate = rate;
    encoder->sample_fmt = codec->sample_fmts[0];
    encoder->bit_rate = 64000;
    encoder->time_base = (AVRational){1, rate};
    encoder->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL;
    if (out->oformat->flags & AVFMT_GLOBALHEADER) encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    AVStream *stream = avformat_new_stream(out, NULL);
    int code = avcodec_open2(encoder, codec, NULL);
    if (code >= 0) code = avcodec_parameters_from_context(stream->codecpar, encoder);
    if (code >= 0) code = avio_open_dyn_buf(&out->pb);
    if (code >= 0) code = avformat_write_header(out, NULL);
    SwrContext *convert = NULL;
    swr_alloc_set_opts2(&convert, &encoder->ch_layout, encoder->sample_fmt, rate,
                        &encoder->ch_layout, AV_SAMPLE_FMT_S16, rate, 0, NULL);
    swr_init(convert);
    int16_t *tone = audio_tone((size_t)rate, (size_t)channels, n);
    size_t step = encoder->frame_size > 0 ? (size_t)encoder->frame_size : 1024;
    for (size_t at = 0; at < n && code >= 0; at += step) {
        AVFrame *frame = av_frame_alloc();
        frame->nb_samples = (int)(n - at < step ? n - at : step);
        frame->format = encoder->sample_fmt;
        frame->sample_rate = rate;
        frame->pts = (int64_t)at;
        av_channel_layout_copy(&frame->ch_layout, &encoder->ch_layout);
        av_frame_get_buffer(frame, 0);
        const uint8_t *from = (const uint8_t *)(tone + at * (size_t)channels);
        swr_convert(convert, frame->extended_data, frame->nb_samples, &from, frame->nb_samples);
        code = audio_encode_frame(out, encoder, frame);
        av_frame_free(&frame);
    }
    if (code >= 0) code = audio_encode_frame(out, encoder, NULL);
    if (code >= 0) code = av_write_trailer(out);
    if (out->pb) file.n = (size_t)avio_close_dyn_buf(out->pb, &file.data);
    if (code < 0) av_freep(&file.data);
    free(tone);
    swr_free(&convert);
    avcodec_free_context(&encoder);
    avformat_free_context(out);
    return file;
}

#endif
