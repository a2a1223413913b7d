/*
 * Tells what a .lbit file holds, and decodes it: cc dump.c $(pkg-config --cflags --libs latentbit) -o dump
 *
 *   dump FILE [MODEL [OUT.ppm]]     MODEL: a path, or - for the built-in model; OUT.ppm gets the last frame
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <inttypes.h>
#include <latentbit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program unless all is well. */
static void check(int code, const char *what) {
    if (code != LBIT_OK) {
        fprintf(stderr, "%s: error %d: %s\n", what, code, lbit_error_message());
        exit(1);
    }
}

static void print_chunks(const lbit_file *file) {
    lbit_chunk chunk;
    memset(&chunk, 0, sizeof chunk);
    chunk.size = sizeof chunk;
    for (uint64_t number = 0; lbit_file_chunk(file, number, &chunk) == LBIT_OK; number++) {
        size_t count = (size_t)chunk.steps * chunk.rows * chunk.columns;
        uint64_t sum = 0, kept = 0;
        if (!chunk.lost) {
            uint64_t *tokens = calloc(count, sizeof *tokens);
            uint8_t *depths = calloc(count, 1);
            if (tokens == NULL || depths == NULL) {
                abort();
            }
            check(lbit_file_tokens(file, number, 0, tokens, depths, count), "tokens");
            for (size_t i = 0; i < count; i++) {
                sum += tokens[i];
                kept += depths[i];
            }
            free(tokens);
            free(depths);
        }
        printf("chunk %" PRIu64 ": frames %" PRIu64 "+%" PRIu64 " at %" PRId64 ", %" PRIu32 "x%" PRIu32 "x%" PRIu32
               " tokens%s%s, sum %" PRIu64 ", %" PRIu64 " bits\n",
               number, chunk.first_frame, chunk.frames, chunk.time, chunk.steps, chunk.rows, chunk.columns,
               chunk.key ? ", key" : "", chunk.lost ? ", lost" : "", sum, kept);
    }
}

static void write_picture(const char *path, const lbit_frame *frame) {
    FILE *out = fopen(path, "wb");
    size_t bytes = (size_t)frame->width * frame->height * 3;
    if (out == NULL) {
        perror(path);
        exit(1);
    }
    fprintf(out, "P6 %" PRIu32 " %" PRIu32 " 255\n", frame->width, frame->height);
    if (fwrite(frame->rgb, 1, bytes, out) != bytes || fclose(out) != 0) {
        perror(path);
        exit(1);
    }
}

static void print_frames(const lbit_file *file, const char *model_path, const char *picture) {
    lbit_model *model;
    lbit_decoder *decoder;
    lbit_decode_options options;
    lbit_frame frame;
    int code;
    check(lbit_model_open(strcmp(model_path, "-") == 0 ? NULL : model_path, "cpu", &model), "model");
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.conceal = LBIT_CONCEAL_FREEZE;
    check(lbit_decoder_open(file, model, &options, &decoder), "decoder");
    /* The decoder keeps what it needs of it. */
    lbit_model_free(model);
    memset(&frame, 0, sizeof frame);
    frame.size = sizeof frame;
    while ((code = lbit_decoder_next(decoder, &frame)) == LBIT_OK) {
        uint64_t sum = 0;
        for (size_t i = 0; i < (size_t)frame.width * frame.height * 3; i++) {
            sum += frame.rgb[i];
        }
        printf("frame %" PRIu64 " at %" PRId64 " for %" PRIu64 ", fidelity %" PRIu32 ", sum %" PRIu64 "\n", frame.index,
               frame.time, frame.duration, frame.fidelity, sum);
        if (picture != NULL) {
            write_picture(picture, &frame);
        }
    }
    if (code != LBIT_END) {
        check(code, "decoding");
    }
    lbit_decoder_free(decoder);
}

int main(int argc, char **argv) {
    lbit_file *file;
    lbit_info info;
    if (lbit_abi_version() != LBIT_ABI_VERSION) {
        fprintf(stderr, "this program was built for another version of the library than %s\n", lbit_version());
        return 1;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE [MODEL [OUT.ppm]]\n", argv[0]);
        return 2;
    }
    check(lbit_file_open(argv[1], 0, &file), "open");
    memset(&info, 0, sizeof info);
    info.size = sizeof info;
    check(lbit_file_info(file, &info), "info");
    printf("%" PRIu32 "x%" PRIu32 ", %" PRIu64 " frames at %" PRIu32 "/%" PRIu32 ", %" PRIu64 " chunks, %d bits, made by %s\n",
           info.width, info.height, info.frames, info.frame_rate.num, info.frame_rate.den, info.chunks, info.bits,
           lbit_file_model_name(file));
    print_chunks(file);
    if (argc > 2) {
        print_frames(file, argv[2], argc > 3 ? argv[3] : NULL);
    }
    lbit_file_free(file);
    return 0;
}
