/*
 * LatentBit for C: reads .lbit files, and decodes them to frames.
 *
 * Every function that can fail returns LBIT_OK (0), or says why not by one of the codes below; the message of the last
 * failure of a thread is lbit_error_message(). Pointers must be valid for as long as the call lasts, and text ends with a zero byte.
 * A null pointer where something is needed is LBIT_ERROR_ARGUMENT, and so is every value that is out of range.
 *
 * Structures that start with `size` may get more fields at their end: set all of them to zero, and size to sizeof.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */

#ifndef LATENTBIT_H
#define LATENTBIT_H

/* Made by cbindgen of capi/src: do not edit. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/*
 The version of this interface. It goes up when a function or a structure changes so that a program that was built for
 an earlier one would not work; new functions, and new fields at the end of structures, do not count.
 */
#define LBIT_ABI_VERSION 1

/*
 Done.
 */
#define LBIT_OK 0

/*
 There is no more; not a failure.
 */
#define LBIT_END 1

/*
 A null pointer, a value that is out of range, or a structure of the wrong size.
 */
#define LBIT_ERROR_ARGUMENT 2

/*
 Reading failed in the operating system.
 */
#define LBIT_ERROR_IO 3

/*
 The bytes are damaged, or are no .lbit file.
 */
#define LBIT_ERROR_FORMAT 4

/*
 The file stops before its end.
 */
#define LBIT_ERROR_TRUNCATED 5

/*
 The file is made for a newer reader.
 */
#define LBIT_ERROR_UNSUPPORTED 6

/*
 The file asks for more memory or work than a reader allows; see LBIT_TRUSTED.
 */
#define LBIT_ERROR_LIMITS 7

/*
 The tokens of a chunk are lost.
 */
#define LBIT_ERROR_LOST 8

/*
 The model cannot be used, or the file needs another one.
 */
#define LBIT_ERROR_MODEL 9

/*
 It takes more memory than there is, or than the limit that was given.
 */
#define LBIT_ERROR_MEMORY 10

/*
 Something else, such as a GPU that failed.
 */
#define LBIT_ERROR_OTHER 11

/*
 A fault in this library. The handle that was used must only be freed from now on.
 */
#define LBIT_ERROR_BUG 12

/*
 Lift the limits on what a file may ask for: only for files from people you trust.
 */
#define LBIT_TRUSTED 1

/*
 A lost or damaged chunk ends decoding with LBIT_ERROR_LOST or LBIT_ERROR_FORMAT.
 */
#define LBIT_CONCEAL_OFF 0

/*
 Lost chunks are filled in as `latentbit decode` does.
 */
#define LBIT_CONCEAL_AUTO 1

/*
 In the place of lost chunks stands the last good frame before them.
 */
#define LBIT_CONCEAL_FREEZE 2

/*
 Frames are mixed of the good ones before and after the lost chunks.
 */
#define LBIT_CONCEAL_BLEND 3

/*
 All that a frame is made of came intact.
 */
#define LBIT_FRAME_EXACT 0

/*
 Its tokens came intact, but some before it in its group are lost.
 */
#define LBIT_FRAME_AFFECTED 1

/*
 Its tokens are lost, and it was filled in.
 */
#define LBIT_FRAME_CONCEALED 2

/*
 Gives the frames of a file, in order. One thread at a time may use it; it computes on threads of its own.
 */
typedef struct lbit_decoder lbit_decoder;

/*
 A file that is open for reading. Threads may use it at the same time.
 */
typedef struct lbit_file lbit_file;

/*
 A model, which decodes the files that it made. Threads may share it.
 */
typedef struct lbit_model lbit_model;

/*
 A fraction.
 */
typedef struct {
    /*
     Numerator; 0 where the ratio is not known.
     */
    uint32_t num;
    /*
     Denominator.
     */
    uint32_t den;
} lbit_ratio;

/*
 What the header of a file says of its first video, and what is known of the file.
 */
typedef struct {
    /*
     sizeof(lbit_info), set by the caller.
     */
    size_t size;
    /*
     Bytes of the file.
     */
    uint64_t bytes;
    /*
     Frames of the video, as far as its chunks tell.
     */
    uint64_t frames;
    /*
     Chunks of the video, lost ones too.
     */
    uint64_t chunks;
    /*
     Width of a frame in pixels.
     */
    uint32_t width;
    /*
     Height of a frame in pixels.
     */
    uint32_t height;
    /*
     Frames per second; the average if the rate varies.
     */
    lbit_ratio frame_rate;
    /*
     Seconds per tick of all times.
     */
    lbit_ratio time_base;
    /*
     Width over height of a pixel.
     */
    lbit_ratio pixel_aspect;
    /*
     Ticks from one frame to the next in chunks that do not say otherwise.
     */
    uint32_t frame_duration;
    /*
     Latent frames in a full chunk.
     */
    uint32_t chunk_latent_frames;
    /*
     Streams of the file, of every kind.
     */
    uint32_t streams;
    /*
     Version of the format that the file is written in.
     */
    uint16_t version_major;
    /*
     The same.
     */
    uint16_t version_minor;
    /*
     Frames and pixels per latent position: time, height, width.
     */
    uint8_t strides[3];
    /*
     Latent positions per token: time, height, width.
     */
    uint8_t patch[3];
    /*
     The most bits that a token of this file has.
     */
    uint8_t bits;
    /*
     Bits per token of the model.
     */
    uint8_t model_bits;
    /*
     Bits from one depth to the next, if tokens may have depths of their own; else 0.
     */
    uint8_t depth_step;
    /*
     Colour primaries, as in ISO/IEC 23091-2.
     */
    uint8_t color_primaries;
    /*
     Transfer characteristics, the same way.
     */
    uint8_t color_transfer;
    /*
     Matrix coefficients, the same way.
     */
    uint8_t color_matrix;
    /*
     1 if the chunks are known from the file's index, 0 if the file was read to find them.
     */
    uint8_t indexed;
    /*
     1 if the file stops before its end.
     */
    uint8_t truncated;
    /*
     1 if reading the file to find its chunks came across damage.
     */
    uint8_t damaged;
    /*
     Bits per sample of the source.
     */
    uint8_t bit_depth;
    /*
     SHA-256 of the model that the file needs.
     */
    uint8_t model_sha256[32];
} lbit_info;

/*
 What is known of a chunk before its tokens are read.
 */
typedef struct {
    /*
     sizeof(lbit_chunk), set by the caller.
     */
    size_t size;
    /*
     Index of its first frame in the video.
     */
    uint64_t first_frame;
    /*
     Frames in it.
     */
    uint64_t frames;
    /*
     When its first frame is shown, in ticks.
     */
    int64_t time;
    /*
     Latent frames in it.
     */
    uint64_t latent_frames;
    /*
     Tokens in it: steps, rows and columns. No steps if they are lost.
     */
    uint32_t steps;
    /*
     The same.
     */
    uint32_t rows;
    /*
     The same.
     */
    uint32_t columns;
    /*
     Tokens of different segments are of different videos.
     */
    uint32_t segment;
    /*
     Bits per token; 0 if its tokens are lost.
     */
    uint8_t bits;
    /*
     1 for a chunk where decoding can begin.
     */
    uint8_t key;
    /*
     1 if its tokens are lost.
     */
    uint8_t lost;
} lbit_chunk;

/*
 How to decode. All zero but for the size is a good choice.
 */
typedef struct {
    /*
     sizeof(lbit_decode_options), set by the caller.
     */
    size_t size;
    /*
     Index of the first wanted frame.
     */
    uint64_t first_frame;
    /*
     How many frames are wanted; 0 for all that follow.
     */
    uint64_t frames;
    /*
     Most memory to take, in bytes, besides the model: large frames are then computed in tiles. 0 for no limit.
     */
    uint64_t max_memory;
    /*
     Threads that compute; 0 for one on each core.
     */
    uint32_t threads;
    /*
     What is done about lost chunks: one of LBIT_CONCEAL_.
     */
    uint32_t conceal;
    /*
     Bits to look at of each token, the most important ones; 0 for all.
     */
    uint32_t bits;
    /*
     Must be 0.
     */
    uint32_t reserved;
} lbit_decode_options;

/*
 A frame.
 */
typedef struct {
    /*
     sizeof(lbit_frame), set by the caller.
     */
    size_t size;
    /*
     Its index in the video.
     */
    uint64_t index;
    /*
     When it is shown, in ticks (`time_base` of lbit_info).
     */
    int64_t time;
    /*
     How many ticks it is shown.
     */
    uint64_t duration;
    /*
     Red, green and blue of each pixel, from left to right and from top to bottom, without gaps: width * height * 3 bytes.
     Valid until the decoder is used again or freed.
     */
    const uint8_t *rgb;
    /*
     Width in pixels.
     */
    uint32_t width;
    /*
     Height in pixels.
     */
    uint32_t height;
    /*
     Whether it is what the encoder meant: one of LBIT_FRAME_.
     */
    uint32_t fidelity;
    /*
     0.
     */
    uint32_t reserved;
} lbit_frame;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 LBIT_ABI_VERSION of the library that the program runs with: if it is another one than that of the header, stop.
 */
uint32_t lbit_abi_version(void);

/*
 The version of the library, such as "0.2.0". Always valid.
 */
const char *lbit_version(void);

/*
 The newest version of the format that the library reads.
 */
int lbit_format_version(uint16_t *major, uint16_t *minor);

/*
 What the last function that failed on this thread failed with, in words: which file, where, what was expected. Never
 null; empty if none failed. It is valid until another function fails on this thread.
 */
const char *lbit_error_message(void);

/*
 Opens a file by its name, and lists the chunks of its first video; without an index it is read once for that. `flags`
 is 0 or LBIT_TRUSTED. It is freed with lbit_file_free. Damage to chunks is no failure; lbit_info tells of it.
 */
int lbit_file_open(const char *path, uint32_t flags, lbit_file **file);

/*
 As lbit_file_open, for a file in memory. The bytes are copied.
 */
int lbit_file_open_memory(const uint8_t *data, size_t length, uint32_t flags, lbit_file **file);

/*
 Frees a file; decoders that read it go on. Null is nothing.
 */
void lbit_file_free(lbit_file *file);

/*
 Tells what a file holds. `info->size` must be set.
 */
int lbit_file_info(const lbit_file *file, lbit_info *info);

/*
 The name of the model that a file needs; null for null. It is valid until the file is freed.
 */
const char *lbit_file_model_name(const lbit_file *file);

/*
 Tells of a chunk by its number, from 0. `chunk->size` must be set. LBIT_END if there is no such chunk.
 */
int lbit_file_chunk(const lbit_file *file, uint64_t number, lbit_chunk *chunk);

/*
 Reads the tokens of a chunk into `values`, columns fastest, then rows, then steps. Bit j of a value is bit j of the
 token; bit 0 is the most important one. Only the first `bits` bits are read, all if it is 0; others are 0.

 `depths`, unless it is null, gets how many bits each token has. `capacity` is for how many tokens there is room; there
 must be room for steps * rows * columns of lbit_chunk.
 */
int lbit_file_tokens(const lbit_file *file,
                     uint64_t number,
                     uint8_t bits,
                     uint64_t *values,
                     uint8_t *depths,
                     size_t capacity);

/*
 Loads the decoder of a model: the built-in one if `path` is null. `device` is "auto", "cpu", "cuda" or "cuda:N"; null is
 "auto". It is freed with lbit_model_free.
 */
int lbit_model_open(const char *path,
                    const char *device,
                    lbit_model **model);

/*
 The name of a model; null for null. It is valid until the model is freed.
 */
const char *lbit_model_name(const lbit_model *model);

/*
 The SHA-256 of a model, 32 bytes, which files name the model by; null for null. It is valid until the model is freed.
 */
const uint8_t *lbit_model_sha256(const lbit_model *model);

/*
 Frees a model; decoders that were made with it go on. Null is nothing.
 */
void lbit_model_free(lbit_model *model);

/*
 Starts to decode a file with the model that it needs. `options` may be null; else `options->size` must be set. The
 decoder is freed with lbit_decoder_free; file and model may be freed before it.
 */
int lbit_decoder_open(const lbit_file *file,
                      const lbit_model *model,
                      const lbit_decode_options *options,
                      lbit_decoder **decoder);

/*
 Waits for the next frame. `frame->size` must be set. LBIT_END after the last one; after a failure nothing comes any more.
 */
int lbit_decoder_next(lbit_decoder *decoder,
                      lbit_frame *frame);

/*
 Frees a decoder, which stops what it is at. Null is nothing.
 */
void lbit_decoder_free(lbit_decoder *decoder);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LATENTBIT_H */
