/* What must be refused, and must not end the program. argv[1] is a good file, argv[2] its model. */
#include <latentbit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fails unless `call` gives `code` and the message has `part`. */
#define REFUSED(call, code, part)                                                                                      \
    do {                                                                                                               \
        int found = (call);                                                                                            \
        if (found != (code) || strstr(lbit_error_message(), (part)) == NULL) {                                         \
            fprintf(stderr, "%s: line %d: found %d, %s\n", #call, __LINE__, found, lbit_error_message());              \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define WELL(call) REFUSED(call, LBIT_OK, "")

int main(int argc, char **argv) {
    lbit_file *file = NULL, *other = NULL;
    lbit_model *model = NULL, *none = NULL;
    lbit_decoder *decoder = NULL;
    lbit_info info;
    lbit_chunk chunk;
    lbit_frame frame;
    lbit_decode_options options;
    uint64_t tokens[4096];
    uint16_t major = 0, minor = 0;
    if (argc != 3 || strcmp(lbit_error_message(), "") != 0) {
        return 2;
    }
    memset(&info, 0, sizeof info);
    memset(&chunk, 0, sizeof chunk);
    memset(&frame, 0, sizeof frame);
    memset(&options, 0, sizeof options);

    WELL(lbit_format_version(&major, &minor));
    REFUSED(lbit_format_version(NULL, &minor), LBIT_ERROR_ARGUMENT, "major");
    REFUSED(lbit_file_open(argv[1], 0, NULL), LBIT_ERROR_ARGUMENT, "file");
    REFUSED(lbit_file_open(NULL, 0, &file), LBIT_ERROR_ARGUMENT, "path");
    REFUSED(lbit_file_open("/no/such/file", 0, &file), LBIT_ERROR_IO, "/no/such/file");
    REFUSED(lbit_file_open("/", 0, &file), LBIT_ERROR_IO, "regular");
    REFUSED(lbit_file_open(argv[2], 0, &file), LBIT_ERROR_FORMAT, argv[2]);
    REFUSED(lbit_file_open(argv[1], 6, &file), LBIT_ERROR_ARGUMENT, "flags");
    if (file != NULL) {
        return 3;
    }
    REFUSED(lbit_file_open_memory(NULL, 5, 0, &file), LBIT_ERROR_ARGUMENT, "data");
    REFUSED(lbit_file_open_memory(NULL, 0, 0, &file), LBIT_ERROR_TRUNCATED, "memory");
    WELL(lbit_file_open(argv[1], LBIT_TRUSTED, &file));

    REFUSED(lbit_file_info(file, &info), LBIT_ERROR_ARGUMENT, "sizeof");
    REFUSED(lbit_file_info(file, NULL), LBIT_ERROR_ARGUMENT, "info");
    REFUSED(lbit_file_info(NULL, &info), LBIT_ERROR_ARGUMENT, "file");
    info.size = sizeof info;
    WELL(lbit_file_info(file, &info));
    chunk.size = sizeof chunk;
    WELL(lbit_file_chunk(file, 0, &chunk));
    if (lbit_file_chunk(file, info.chunks, &chunk) != LBIT_END) {
        return 4;
    }
    REFUSED(lbit_file_tokens(file, info.chunks, 0, tokens, NULL, 4096), LBIT_ERROR_ARGUMENT, "chunk");
    REFUSED(lbit_file_tokens(file, 0, 0, NULL, NULL, 4096), LBIT_ERROR_ARGUMENT, "values");
    REFUSED(lbit_file_tokens(file, 0, 0, tokens, NULL, 1), LBIT_ERROR_ARGUMENT, "capacity");
    REFUSED(lbit_file_tokens(file, 0, 65, tokens, NULL, 4096), LBIT_ERROR_ARGUMENT, "bits");
    WELL(lbit_file_tokens(file, 0, 1, tokens, NULL, 4096));
    if (tokens[0] > 1) {
        return 5;
    }

    REFUSED(lbit_model_open("/no/such/model", NULL, &model), LBIT_ERROR_IO, "/no/such/model");
    REFUSED(lbit_model_open(argv[1], NULL, &model), LBIT_ERROR_MODEL, argv[1]);
    REFUSED(lbit_model_open(argv[2], "abacus", &model), LBIT_ERROR_ARGUMENT, "device");
    WELL(lbit_model_open(argv[2], "cpu", &model));
    REFUSED(lbit_decoder_open(NULL, model, NULL, &decoder), LBIT_ERROR_ARGUMENT, "file");
    REFUSED(lbit_decoder_open(file, NULL, NULL, &decoder), LBIT_ERROR_ARGUMENT, "model");
    REFUSED(lbit_decoder_open(file, model, &options, &decoder), LBIT_ERROR_ARGUMENT, "sizeof");
    options.size = sizeof options;
    options.first_frame = info.frames;
    REFUSED(lbit_decoder_open(file, model, &options, &decoder), LBIT_ERROR_ARGUMENT, "frames");
    options.first_frame = 0;
    options.conceal = 77;
    REFUSED(lbit_decoder_open(file, model, &options, &decoder), LBIT_ERROR_ARGUMENT, "conceal");
    options.conceal = LBIT_CONCEAL_OFF;
    options.max_memory = 1;
    REFUSED(lbit_decoder_open(file, model, &options, &decoder), LBIT_ERROR_ARGUMENT, "");
    options.max_memory = 0;
    /* A file of another model. */
    WELL(lbit_model_open(NULL, NULL, &none));
    REFUSED(lbit_decoder_open(file, none, &options, &decoder), LBIT_ERROR_MODEL, lbit_model_name(model));
    if (decoder != NULL || memcmp(info.model_sha256, lbit_model_sha256(model), 32) != 0) {
        return 6;
    }
    /* The last two frames, one of them asked for, then freed in the middle. */
    options.first_frame = info.frames - 2;
    WELL(lbit_decoder_open(file, model, &options, &decoder));
    lbit_file_free(file);
    lbit_model_free(model);
    REFUSED(lbit_decoder_next(decoder, &frame), LBIT_ERROR_ARGUMENT, "sizeof");
    frame.size = sizeof frame;
    REFUSED(lbit_decoder_next(decoder, NULL), LBIT_ERROR_ARGUMENT, "frame");
    WELL(lbit_decoder_next(decoder, &frame));
    if (frame.index != info.frames - 2 || frame.width != info.width) {
        return 7;
    }
    lbit_decoder_free(decoder);

    lbit_file_free(NULL);
    lbit_model_free(none);
    lbit_model_free(NULL);
    lbit_decoder_free(NULL);
    if (lbit_file_model_name(NULL) != NULL || lbit_model_name(NULL) != NULL || other != NULL) {
        return 8;
    }
    puts("refused");
    return 0;
}
