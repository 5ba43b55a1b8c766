/* FFmpeg's functions, found when the first audio file is opened.
 *
 * Linked in the usual way, its libraries and all that they need (150 files) would cost every start
 * of every program a tenth of a second and 30 MB; who only runs text models never needs them. The
 * libraries are those of the headers' major versions. */
#ifndef MEDIA_FFMPEG_H
#define MEDIA_FFMPEG_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/log.h>
#include <libswresample/swresample.h>

#include "base/status.h"

#define FFMPEG_FUNCTIONS(X)                                                                       \
    X(av_frame_alloc) X(av_frame_free) X(av_free) X(av_freep) X(av_get_packed_sample_fmt)         \
    X(av_log_get_level) X(av_log_set_level) X(av_malloc) X(av_packet_alloc) X(av_packet_free)     \
    X(av_packet_unref) X(av_probe_input_buffer2) X(av_read_frame) X(av_sample_fmt_is_planar)      \
    X(av_strdup) X(av_strerror) X(avcodec_alloc_context3) X(avcodec_find_decoder)                 \
    X(avcodec_free_context) X(avcodec_get_name) X(avcodec_open2)                                  \
    X(avcodec_parameters_to_context) X(avcodec_receive_frame) X(avcodec_send_packet)              \
    X(avformat_alloc_context) X(avformat_close_input) X(avformat_find_stream_info)                \
    X(avformat_open_input) X(avio_alloc_context) X(avio_context_free) X(swr_alloc_set_opts2)      \
    X(swr_convert) X(swr_free) X(swr_get_out_samples) X(swr_init)

typedef struct ffmpeg_functions {
#define X(name) __typeof__(name) *name;
    FFMPEG_FUNCTIONS(X)
#undef X
} ffmpeg_functions;

/* Filled by ffmpeg_load; from then on immutable. */
extern ffmpeg_functions ffmpeg;

/* Any number of times, from any thread. HONE_ERR_UNSUPPORTED says what to install. */
hone_status ffmpeg_load(void);

#endif
