#ifndef DOTS_1
#define DOTS_1(x, lane, a) DOT(a, x, lane, w0)
#define DOTS_2(x, lane, a, b) DOT(a, x, lane, w0); DOT(b, x, lane, w1)
#define DOTS_3(x, lane, a, b, c) DOTS_2(x, lane, a, b); DOT(c, x, lane, w2)
#endif
#ifndef DOTS_4
#define DOTS_4(x, lane, a, b, c, d) DOTS_3(x, lane, a, b, c); DOT(d, x, lane, w3)
#endif
#define FIRST_DOTS_2(x, lane, a, b) FIRST_DOT(a, x, lane, w0); FIRST_DOT(b, x, lane, w1)
#define ALIGNED __attribute__((aligned(64)))
#define SUMS (TILE / V * G)
#define CAT_(a, b) a##b
#define CAT(a, b) CAT_(a, b)
#define BIAS(bias, weights) ((bias) - OFFSET * (weights))
#define BLANK(sum, weights) ((sum) + OFFSET * (weights))
#define STORED(q) ((act)((q) + OFFSET))
#ifdef CHANNEL_ROWS
#define READ(n) (((n) + 15) / 16 * 16)
#define WEIGHTS_AT(w, c, words, rows) ((const int8_t *)(w) + (c) / 16 * 16 * (rows) + (c) % 16 * 16)
#else
#define READ(n) (n)
#define WEIGHTS_AT(w, c, words, rows) ((const int8_t *)(w) + (c) / 16 * 16 * (words) + (c) % 16 * 4)
#endif
#if FLOAT_SCALE
#define REQUANTIZATION(name, zero, low, high) {name##_bias, name##_scale, zero, low, high}
#define REQUANTIZATION_IN_DOUBLE REQUANTIZATION
#else
#define REQUANTIZATION(name, zero, low, high) {name##_bias, name##_multiplier, name##_shift, 0, zero, low, high}
#define REQUANTIZATION_IN_DOUBLE(name, zero, low, high) {name##_bias, 0, 0, name##_real, zero, low, high}
#endif
#if WIDEN
INLINE const input *widened(void *scratch, const act *from, int n) { widen((input *)scratch, from, n); return (const input *)scratch; }
#else
INLINE const input *widened(void *scratch, const act *from, int n) { (void)scratch; (void)n; return from; }
#endif
/* Pixels 0 to 255 as activations. */
NOINLINE void copy_image(act *to, const uint8_t *from, int n)
{
    int i = 0;
    for (; i + 8 <= n; i += 8)
        store_64(to + i, load_64(from + i) ^ (OFFSET ? 0 : (int64_t)0x8080808080808080));
    for (; i < n; i++)
        to[i] = (act)(from[i] + OFFSET - 128);
}
/* n bytes of the value q, and up to 7 more. */
NOINLINE void fill(act *to, int q, int n)
{
    const int64_t word = (int64_t)(0x0101010101010101u * (uint8_t)(q + OFFSET));
    for (int i = 0; i < n; i += 8)
        store_64(to + i, word);
}
/* Copies rows of n bytes, each as whole words: what a row writes too much, the next overwrites. */
INLINE void copy_runs(act *to, const act *from, int rows, int n, int stride)
{
    UNROLL(8)
    for (int r = 0; r < rows; r++)
        UNROLL(8)
        for (int i = 0; i < n; i += 4)
            store_32(to + r * n + i, load_32(from + r * stride + i));
}
