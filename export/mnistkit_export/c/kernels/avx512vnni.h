/* x86 with AVX-512 VNNI. */
#include <immintrin.h>
typedef uint8_t act;
typedef uint8_t input;
typedef __m512i sum;
typedef __m512i vec;
typedef __m512i inputs;
typedef __m512i weights;
#define OFFSET 128
#define V 16
#define G 1
#define TILE 64
#define BLOCK 4
#define LANES 1
#define WIDEN 0
#define STEPS STEP(0)
#define WEIGHT_STEP 64
#define UNROLLED 4
#define PEEL 0
#define START(bias, n) _mm512_loadu_si512((bias) + 16 * (n))
#define LOAD_BLOCK(x, p)
#define LOAD_STEP(x, p) x = _mm512_set1_epi32(load_32(p))
#define LOAD_WEIGHTS_1(w, next) w##0 = _mm512_loadu_si512(w)
#define LOAD_WEIGHTS_2(w, next) LOAD_WEIGHTS_1(w, next); w##1 = _mm512_loadu_si512(w + (next))
#define LOAD_WEIGHTS_3(w, next) LOAD_WEIGHTS_2(w, next); w##2 = _mm512_loadu_si512(w + 2 * (next))
#define LOAD_WEIGHTS_4(w, next) LOAD_WEIGHTS_3(w, next); w##3 = _mm512_loadu_si512(w + 3 * (next))
#define DOT(a, x, lane, w) a = _mm512_dpbusd_epi32(a, x, w)
INLINE vec reduce(const sum *a) { return *a; }
INLINE vec vec_max(vec a, vec b) { return _mm512_max_epi32(a, b); }
INLINE vec requantize(vec a, const requantization *q, int c)
{
#if FLOAT_SCALE
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(a), _mm512_loadu_ps(q->scale + c)));
#else
    int32_t lanes[16];
    _mm512_storeu_si512(lanes, a);
    for (int i = 0; i < 16; i++)
        lanes[i] = requantize_one(lanes[i], q, c + i);
    return _mm512_loadu_si512(lanes);
#endif
}
INLINE void store_1(act *out, vec a, const requantization *q, int channels)
{
    a = _mm512_max_epi32(_mm512_add_epi32(a, _mm512_set1_epi32(q->zero + 128)), _mm512_set1_epi32(q->low + 128));
    if (q->high < 127)
        a = _mm512_min_epi32(a, _mm512_set1_epi32(q->high + 128));
    if (channels < 16)
        _mm512_mask_cvtusepi32_storeu_epi8(out, (__mmask16)((1u << channels) - 1), a);
    else
        _mm_storeu_si128((__m128i *)(void *)out, _mm512_cvtusepi32_epi8(a));
}
INLINE void store_2(act *out, vec a, vec b, const requantization *q, int channels)
{
    store_1(out, a, q, 16);
    store_1(out + 16, b, q, channels - 16);
}
INLINE void store_3(act *out, vec a, vec b, vec c, const requantization *q, int channels)
{
    store_2(out, a, b, q, 32);
    store_1(out + 32, c, q, channels - 32);
}
INLINE void store_4(act *out, vec a, vec b, vec c, vec d, const requantization *q, int channels)
{
    store_3(out, a, b, c, q, 48);
    store_1(out + 48, d, q, channels - 48);
}
#define DEPTH 16
INLINE void depthwise_sums(const act *x, int rows, int columns, int row, int pixel, const int8_t *w, int next, const int32_t *bias, vec *sums)
{
    *sums = _mm512_loadu_si512(bias);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < columns; k++, w += next) {
            const __m512i a = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(x + r * row + k * pixel)));
            const __m512i b = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)w));
            *sums = _mm512_add_epi32(*sums, _mm512_mullo_epi32(a, b));
        }
}
typedef __m128i bytes;
#define BYTES 16
INLINE bytes load_bytes(const act *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
INLINE void store_bytes(act *p, bytes b) { _mm_storeu_si128((__m128i *)(void *)p, b); }
INLINE bytes max_bytes(bytes a, bytes b) { return _mm_max_epu8(a, b); }
