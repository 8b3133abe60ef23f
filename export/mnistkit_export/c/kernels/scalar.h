/* Any C99 compiler, and SMLAD where it exists (Cortex-M4, M7, M33). */
typedef int8_t act;
typedef int32_t sum;
typedef int32_t vec;
#define OFFSET 0
#define V 1
#define G 1
#define TILE 1
#define BLOCK 4
#define LANES 1
#define STEPS STEP(0)
#define WEIGHT_STEP 64
#define UNROLLED 2
#define PEEL 0
#define START(bias, n) *(bias)
#define LOAD_BLOCK(x, p)
#if defined(__ARM_FEATURE_DSP) && !defined(MODEL_PLAIN)
#include <arm_acle.h>
typedef int16_t input;
typedef struct { int32_t even, odd; } pairs;
typedef pairs inputs;
typedef pairs weights;
#define WIDEN 1
INLINE pairs unpack(int32_t w)
{
    pairs p;
    p.even = (int32_t)__sxtb16((int8x4_t)w);
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(p.odd) : "r"(w));
    return p;
}
INLINE pairs load_pairs(const int16_t *p)
{
    pairs x;
    COPY(&x, __builtin_assume_aligned(p, 8), 8); /* one instruction */
    return x;
}
#define LOAD_STEP(x, p) x = load_pairs(p)
#define LOAD_WEIGHTS_1(w, next) w##0 = unpack(load_32(w))
#define DOT(a, x, lane, w) a = __smlad((int16x2_t)x.even, (int16x2_t)w.even, a), a = __smlad((int16x2_t)x.odd, (int16x2_t)w.odd, a)
INLINE void widen(int16_t *to, const int8_t *from, int n)
{
    for (int i = 0; i < n; i += 4) {
        const pairs p = unpack(load_32(from + i));
        store_32(to + i, p.even);
        store_32(to + i + 2, p.odd);
    }
}
#else
typedef int8_t input;
typedef const int8_t *inputs;
typedef const int8_t *weights;
#define WIDEN 0
#define LOAD_STEP(x, p) x = (p)
#define LOAD_WEIGHTS_1(w, next) w##0 = w
#define DOT(a, x, lane, w) a += x[0] * w[0] + x[1] * w[1] + x[2] * w[2] + x[3] * w[3]
#endif
#define DEPTH 1
INLINE void depthwise_sums(const act *x, int rows, int columns, int row, int pixel, const int8_t *w, int next, const int32_t *bias, vec *sums)
{
    *sums = *bias;
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < columns; k++, w += next)
            *sums += x[r * row + k * pixel] * *w;
}
typedef act bytes;
#define BYTES 1
INLINE bytes load_bytes(const act *p) { return *p; }
INLINE void store_bytes(act *p, bytes b) { *p = b; }
INLINE bytes max_bytes(bytes a, bytes b) { return a > b ? a : b; }
