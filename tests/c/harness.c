/* harness IMAGES COUNT OUT: classifies images of a file without a header and writes the float32 probabilities.
 *
 * Every block that the network gets ends or starts at a page that cannot be accessed, at an alignment that changes with
 * each image, and bytes around it must stay as they are. The arena has other contents each time. With -DHEAP the blocks
 * are of malloc, exactly as large as promised and never initialized, for sanitizers and valgrind.
 */
#include "model.int8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, ALIGNMENTS = 64 };

typedef struct {
    uint8_t *start, *end; /* accessible memory */
    uint8_t *block;
    size_t bytes;
    int filler;
} region;

static void stop(const char *message, int image)
{
    fprintf(stderr, "image %d: %s\n", image, message);
    exit(2);
}

static void *checked(void *memory)
{
    if (!memory || memory == MAP_FAILED)
        stop("no memory", 0);
    return memory;
}

static void place(region *r, size_t bytes, size_t alignment, int image)
{
    const size_t shift = (size_t)(image / 2) * alignment % ALIGNMENTS;
    r->bytes = bytes;
#ifdef HEAP
    free(r->start);
    r->start = checked(malloc(bytes + shift));
    r->block = r->start + shift;
#else
    const size_t size = (bytes + ALIGNMENTS + PAGE - 1) / PAGE * PAGE;
    if (!r->start) {
        uint8_t *all = checked(mmap(NULL, size + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (mprotect(all, PAGE, PROT_NONE) || mprotect(all + PAGE + size, PAGE, PROT_NONE))
            stop("no protected pages", image);
        r->start = all + PAGE;
        r->end = r->start + size;
    }
    r->block = image % 2 ? r->start + shift : r->end - bytes - shift;
    r->filler = (image * 37 + 11) % 256;
    memset(r->start, r->filler, size);
#endif
}

static void check_surroundings(const region *r, int image)
{
#ifndef HEAP
    for (const uint8_t *p = r->start; p < r->end; p++)
        if ((p < r->block || p >= r->block + r->bytes) && *p != r->filler)
            stop("wrote beyond its memory", image);
#endif
    (void)r;
    (void)image;
}

int main(int argc, char **argv)
{
    static region pixels, arena, floats;
    uint8_t *image = checked(malloc(MODEL_INPUT_BYTES));
    FILE *in = argc == 4 ? fopen(argv[1], "rb") : NULL, *out = argc == 4 ? fopen(argv[3], "wb") : NULL;
    if (!in || !out)
        stop("harness IMAGES COUNT OUT", 0);
    for (int i = 0; i < atoi(argv[2]); i++) {
        if (fread(image, 1, MODEL_INPUT_BYTES, in) != MODEL_INPUT_BYTES)
            stop("the file ends", i);
        place(&pixels, MODEL_INPUT_BYTES, 1, i);
        place(&arena, MODEL_ARENA_BYTES, 1, i);
        place(&floats, MODEL_CLASSES * sizeof(float), sizeof(float), i);
        float *probabilities = (float *)(void *)floats.block;
        memcpy(pixels.block, image, MODEL_INPUT_BYTES);
        const int label = model_predict(pixels.block, probabilities, arena.block);
        int most = 0;
        for (int k = 1; k < MODEL_CLASSES; k++)
            most = probabilities[k] > probabilities[most] ? k : most;
        if (label != most)
            stop("the label is not the first of the most probable classes", i);
        if (memcmp(pixels.block, image, MODEL_INPUT_BYTES))
            stop("the image was changed", i);
        check_surroundings(&pixels, i);
        check_surroundings(&arena, i);
        check_surroundings(&floats, i);
        fwrite(probabilities, sizeof(float), MODEL_CLASSES, out);
    }
    free(image);
#ifdef HEAP
    free(pixels.start);
    free(arena.start);
    free(floats.start);
#endif
    return fclose(in) || fclose(out) ? 2 : 0;
}
