/* Compiles the AVX-512 VNNI code for a processor without it: SIMDe's portable functions under the names of the intrinsics. */
#include <immintrin.h>
#include <math.h>
#include <simde/x86/avx512.h>
#include <stdint.h>
#include <string.h>

#define __AVX512VNNI__ 1
#define __AVX512BW__ 1
#define __m512i simde__m512i
#define __m512 simde__m512
#define __mmask16 uint16_t
#define _mm512_add_epi32 simde_mm512_add_epi32
#define _mm512_dpbusd_epi32 simde_mm512_dpbusd_epi32
#define _mm512_loadu_ps simde_mm512_loadu_ps
#define _mm512_loadu_si512 simde_mm512_loadu_si512
#define _mm512_max_epi32 simde_mm512_max_epi32
#define _mm512_min_epi32 simde_mm512_min_epi32
#define _mm512_mul_ps simde_mm512_mul_ps
#define _mm512_mullo_epi32 simde_mm512_mullo_epi32
#define _mm512_set1_epi32 simde_mm512_set1_epi32
#define _mm512_storeu_si512 simde_mm512_storeu_si512
#define _mm512_cvtepi32_ps convert_to_float
#define _mm512_cvtps_epi32 convert_to_int
#define _mm512_cvtepi8_epi32 extend_signed
#define _mm512_cvtepu8_epi32 extend_unsigned
#define _mm512_cvtusepi32_epi8 saturate_to_bytes
#define _mm512_mask_cvtusepi32_storeu_epi8 store_masked_bytes

/* Debian's SIMDe does not have these six. */
typedef union {
    simde__m512i vector;
    int32_t i32[16];
    uint32_t u32[16];
    float f32[16];
} lanes;

static inline simde__m512 convert_to_float(simde__m512i a)
{
    lanes from, to;
    simde__m512 result;
    from.vector = a;
    for (int i = 0; i < 16; i++)
        to.f32[i] = (float)from.i32[i];
    memcpy(&result, &to, sizeof result);
    return result;
}

static inline simde__m512i convert_to_int(simde__m512 a)
{
    lanes from, to;
    memcpy(&from, &a, sizeof from);
    for (int i = 0; i < 16; i++)
        to.i32[i] = (int32_t)lrintf(from.f32[i]);
    return to.vector;
}

static inline simde__m512i extend_signed(__m128i a)
{
    int8_t bytes[16];
    lanes to;
    memcpy(bytes, &a, sizeof bytes);
    for (int i = 0; i < 16; i++)
        to.i32[i] = bytes[i];
    return to.vector;
}

static inline simde__m512i extend_unsigned(__m128i a)
{
    uint8_t bytes[16];
    lanes to;
    memcpy(bytes, &a, sizeof bytes);
    for (int i = 0; i < 16; i++)
        to.i32[i] = bytes[i];
    return to.vector;
}

static inline __m128i saturate_to_bytes(simde__m512i a)
{
    uint8_t bytes[16];
    lanes from;
    __m128i result;
    from.vector = a;
    for (int i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(from.u32[i] > 255 ? 255 : from.u32[i]);
    memcpy(&result, bytes, sizeof result);
    return result;
}

static inline void store_masked_bytes(void *to, uint16_t mask, simde__m512i a)
{
    uint8_t bytes[16];
    const __m128i all = saturate_to_bytes(a);
    memcpy(bytes, &all, sizeof bytes);
    for (int i = 0; i < 16; i++)
        if (mask >> i & 1)
            ((uint8_t *)to)[i] = bytes[i];
}
