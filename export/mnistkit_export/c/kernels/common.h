#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the weights are stored for little-endian processors"
#endif
#ifdef __FAST_MATH__
#error "-ffast-math changes the results: compile this file without it"
#endif
/* Rounding of quantized sums. FLOAT_SCALE 1: as LiteRT with XNNPACK. 0: as TFLite's reference kernels, without floating point. */
#if defined(MODEL_FLOAT_SCALE)
#define FLOAT_SCALE MODEL_FLOAT_SCALE
#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define FLOAT_SCALE 0
#else
#define FLOAT_SCALE 1
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-schedule-insns", "no-tree-pre", "no-predictive-commoning", "no-tree-loop-distribute-patterns", "fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif
#if defined(__clang__)
#define NO_CALLS __attribute__((no_builtin("memset", "memcpy"))) /* a library without libc has none */
#else
#define NO_CALLS
#endif
#if defined(__GNUC__)
#define COPY __builtin_memcpy
#define INLINE static inline __attribute__((always_inline, unused))
#define NOINLINE static __attribute__((noinline, unused)) NO_CALLS
#define FENCE __asm__ volatile("" ::: "memory") /* loads are not moved up: that would take registers */
#define KEEP(p) __asm__("" : "+r"(p)) /* one pointer is stepped, instead of one for each use */
#define UNROLL_(n) _Pragma(#n)
#define UNROLL(n) UNROLL_(GCC unroll n)
#else
#include <string.h>
#define COPY memcpy
#define INLINE static inline
#define NOINLINE static
#define FENCE
#define KEEP(p)
#define UNROLL(n)
#endif
/* How the sums of a layer become activations: q = clamp(round(sum * scale) + zero, low, high). */
typedef struct {
    const int32_t *bias;
#if FLOAT_SCALE
    const float *scale;
#else
    const int32_t *multiplier, *shift;
    const double *real; /* of dense layers: TFLite's reference kernel multiplies in double */
#endif
    int32_t zero, low, high;
} requantization;
INLINE int32_t load_32(const void *p) { int32_t v; COPY(&v, p, 4); return v; }
INLINE int64_t load_64(const void *p) { int64_t v; COPY(&v, p, 8); return v; }
INLINE void store_64(void *p, int64_t v) { COPY(p, &v, 8); }
INLINE void store_32(void *p, int32_t v) { COPY(p, &v, 4); }
/* (x * 2^left * multiplier) / 2^31 rounded, then / 2^right rounded with halves away from zero */
INLINE int32_t multiply_rounded_twice(int32_t x, int32_t multiplier, int shift)
{
    const int left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    const int32_t high = (int32_t)(((int64_t)(int32_t)((uint32_t)x << left) * multiplier + (1 << 30)) >> 31);
    const int32_t mask = (int32_t)((1u << right) - 1), rest = high & mask, half = (mask >> 1) + (high < 0);
    return (high >> right) + (rest > half);
}
#if FLOAT_SCALE
/* Rounds to nearest, halves to even: at 1.5 * 2^23 the last bit of a float is worth 1. */
INLINE int32_t round_float(float x)
{
    union { float f; int32_t i; } u;
    u.f = (x < -1024.0f ? -1024.0f : x > 1024.0f ? 1024.0f : x) + 12582912.0f;
    return u.i - 0x4b400000;
}
INLINE int32_t requantize_one(int32_t a, const requantization *q, int c) { return round_float((float)a * q->scale[c]); }
#else
/* The nearest integer, halves away from zero. */
INLINE int32_t round_double(double x)
{
    const int32_t whole = (int32_t)x;
    return whole + (x - whole >= 0.5) - (x - whole <= -0.5);
}
INLINE int32_t requantize_one(int32_t a, const requantization *q, int c)
{
    return q->real ? round_double(a * q->real[c]) : multiply_rounded_twice(a, q->multiplier[c], q->shift[c]);
}
#endif
