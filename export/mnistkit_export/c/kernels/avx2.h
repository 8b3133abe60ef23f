/* x86 with AVX2. */
#include <immintrin.h>
typedef uint8_t act;
typedef int16_t input;
typedef __m256i sum;
typedef __m256i vec;
typedef __m256i inputs;
typedef __m256i weights;
#define OFFSET 128
#define V 8
#define G 2
#define TILE 8
#define BLOCK 4
#define LANES 1
#define WIDEN 1
#define STEPS STEP(0)
#define WEIGHT_STEP 64
#define UNROLLED 4
#define START(bias, n) _mm256_setzero_si256()
#define LOAD_BLOCK(x, p)
#define LOAD_STEP(x, p) x = _mm256_set1_epi64x(load_64(p))
#define LOAD_WEIGHTS_2(w, next) \
    w##0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w))); \
    w##1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w + 16)))
#define FIRST_DOT(a, x, lane, w) a = _mm256_madd_epi16(x, w)
#define DOT(a, x, lane, w) a = _mm256_add_epi32(a, _mm256_madd_epi16(x, w)); IN_REGISTER(a)
#define IN_REGISTER(a) __asm__("" : "+x"(a)) /* or else gcc copies sums */
#define PEEL 1
INLINE vec reduce(const sum *a) { return _mm256_permute4x64_epi64(_mm256_hadd_epi32(a[0], a[1]), 0xd8); }
INLINE vec vec_max(vec a, vec b) { return _mm256_max_epi32(a, b); }
INLINE void widen(int16_t *to, const uint8_t *from, int n)
{
    for (int i = 0; i < n; i += 16)
        _mm256_storeu_si256((__m256i *)(void *)(to + i), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(from + i))));
}
INLINE vec requantize(vec a, const requantization *q, int c)
{
    a = _mm256_add_epi32(a, _mm256_loadu_si256((const __m256i *)(const void *)(q->bias + c)));
#if FLOAT_SCALE
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(a), _mm256_loadu_ps(q->scale + c)));
#else
    int32_t lanes[8];
    _mm256_storeu_si256((__m256i *)(void *)lanes, a);
    for (int i = 0; i < 8; i++)
        lanes[i] = requantize_one(lanes[i], q, c + i);
    return _mm256_loadu_si256((const __m256i *)(const void *)lanes);
#endif
}
INLINE void store_1(act *out, vec a, const requantization *q, int channels)
{
    a = _mm256_add_epi32(a, _mm256_set1_epi32(q->zero + 128));
    if (q->low > -128)
        a = _mm256_max_epi32(a, _mm256_set1_epi32(q->low + 128));
    if (q->high < 127)
        a = _mm256_min_epi32(a, _mm256_set1_epi32(q->high + 128));
    const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    const __m128i bytes = _mm_packus_epi16(pairs, pairs);
    if (channels < 8)
        store_32(out, _mm_cvtsi128_si32(bytes));
    else
        _mm_storel_epi64((__m128i *)(void *)out, bytes);
}
#define DEPTH 8
INLINE void depthwise_sums(const act *x, int rows, int columns, int row, int pixel, const int8_t *w, int next, const int32_t *bias, vec *sums)
{
    (void)bias; /* requantize adds it */
    *sums = _mm256_setzero_si256();
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < columns; k++, w += next) {
            const __m256i a = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(x + r * row + k * pixel)));
            const __m256i b = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)w));
            *sums = _mm256_add_epi32(*sums, _mm256_mullo_epi32(a, b));
        }
}
typedef __m128i bytes;
#define BYTES 16
INLINE bytes load_bytes(const act *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
INLINE void store_bytes(act *p, bytes b) { _mm_storeu_si128((__m128i *)(void *)p, b); }
INLINE bytes max_bytes(bytes a, bytes b) { return _mm_max_epu8(a, b); }
