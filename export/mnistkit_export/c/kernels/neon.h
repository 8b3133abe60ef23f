/* NEON of AArch64, with the dot product instructions (Cortex-A76: Raspberry Pi 5) or without (Raspberry Pi 3 and 4). */
#include <arm_neon.h>
typedef int8_t act;
typedef int8_t input;
typedef int32x4_t sum;
typedef int32x4_t vec;
typedef int8x16_t inputs;
typedef int8x16_t weights;
#define OFFSET 0
#define V 4
#define BLOCK 16
#define WIDEN 0
#ifdef __ARM_FEATURE_DOTPROD
#define G 1
#define LOAD_WEIGHTS_1(w, next) w##0 = vld1q_s8(w)
#define LOAD_WEIGHTS_2(w, next) do { int8x16x2_t w_ = vld1q_s8_x2(w); w##0 = w_.val[0]; w##1 = w_.val[1]; } while (0)
#define LOAD_WEIGHTS_3(w, next) do { int8x16x3_t w_ = vld1q_s8_x3(w); w##0 = w_.val[0]; w##1 = w_.val[1]; w##2 = w_.val[2]; } while (0)
#define LOAD_WEIGHTS_4(w, next) do { int8x16x4_t w_ = vld1q_s8_x4(w); w##0 = w_.val[0]; w##1 = w_.val[1]; w##2 = w_.val[2]; w##3 = w_.val[3]; } while (0)
#define TILE 16
#define LOAD_BLOCK(x, p) x = vld1q_s8(p)
#define LOAD_STEP(x, p)
#define WEIGHT_STEP 64
#define UNROLLED 2
#define LANES 4
#define PEEL 0
#define STEPS STEP(0) STEP(1) STEP(2) STEP(3)
#define START(bias, n) vld1q_s32((bias) + 4 * (n))
#define DOT(a, x, lane, w) a = vdotq_laneq_s32(a, w, x, lane)
INLINE vec reduce(const sum *a) { return *a; }
#else
#define CHANNEL_ROWS 1
#define G 4
#define TILE 4
#define LOAD_WEIGHTS_4(w, next) w##0 = vld1q_s8(w); w##1 = vld1q_s8(w + 16); w##2 = vld1q_s8(w + 32); w##3 = vld1q_s8(w + 48)
#define LOAD_BLOCK(x, p)
#define LOAD_STEP(x, p) x = vld1q_s8(p)
#define WEIGHT_STEP 256
#define UNROLLED 2
#define LANES 1
#define PEEL 1
#define START(bias, n) vdupq_n_s32(0)
#define STEPS STEP(0)
/* Four sums side by side, and in this order: Cortex-A53 starts instructions in order, and would wait for each product. */
#define PRODUCTS_4(x) \
    int16x8_t t0 = vmull_s8(vget_low_s8(w0), vget_low_s8(x)), t1 = vmull_s8(vget_low_s8(w1), vget_low_s8(x)), \
              t2 = vmull_s8(vget_low_s8(w2), vget_low_s8(x)), t3 = vmull_s8(vget_low_s8(w3), vget_low_s8(x)); \
    __asm__("" : "+w"(t0), "+w"(t1), "+w"(t2), "+w"(t3)); \
    t0 = vmlal_high_s8(t0, w0, x); t1 = vmlal_high_s8(t1, w1, x); t2 = vmlal_high_s8(t2, w2, x); t3 = vmlal_high_s8(t3, w3, x)
#define DOTS_4(x, lane, a, b, c, d) do { PRODUCTS_4(x); \
    a = vpadalq_s16(a, t0); b = vpadalq_s16(b, t1); c = vpadalq_s16(c, t2); d = vpadalq_s16(d, t3); } while (0)
#define FIRST_DOTS_4(x, lane, a, b, c, d) do { PRODUCTS_4(x); \
    a = vpaddlq_s16(t0); b = vpaddlq_s16(t1); c = vpaddlq_s16(t2); d = vpaddlq_s16(t3); } while (0)
INLINE vec reduce(const sum *a) { return vpaddq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(a[2], a[3])); }
#endif
INLINE vec vec_max(vec a, vec b) { return vmaxq_s32(a, b); }
INLINE vec requantize(vec a, const requantization *q, int c)
{
#if G > 1
    a = vaddq_s32(a, vld1q_s32(q->bias + c));
#endif
#if FLOAT_SCALE
    return vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(a), vld1q_f32(q->scale + c)));
#else
    if (q->real) {
        int32_t lanes[4];
        vst1q_s32(lanes, a);
        for (int i = 0; i < 4; i++)
            lanes[i] = requantize_one(lanes[i], q, c + i);
        return vld1q_s32(lanes);
    }
    const int32x4_t m = vld1q_s32(q->multiplier + c), s = vld1q_s32(q->shift + c), z = vdupq_n_s32(0);
    const int32x4_t right = vminq_s32(s, z);
    a = vqrdmulhq_s32(vshlq_s32(a, vmaxq_s32(s, z)), m);
    a = vqaddq_s32(a, vshrq_n_s32(vandq_s32(a, right), 31)); /* rounds halves away from zero */
    return vrshlq_s32(a, right);
#endif
}
INLINE int8x8_t narrow(vec a, vec b, const requantization *q)
{
    const int16x8_t sums = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(a), b), vdupq_n_s16((int16_t)q->zero));
    int8x8_t r = vqmovn_s16(sums);
    if (q->low > -128)
        r = vmax_s8(r, vdup_n_s8((int8_t)q->low));
    if (q->high < 127)
        r = vmin_s8(r, vdup_n_s8((int8_t)q->high));
    return r;
}
INLINE void store_1(act *out, vec a, const requantization *q, int channels)
{
    (void)channels;
    vst1_lane_s32((int32_t *)(void *)out, vreinterpret_s32_s8(narrow(a, a, q)), 0);
}
INLINE void store_2(act *out, vec a, vec b, const requantization *q, int channels)
{
    (void)channels;
    vst1_s8(out, narrow(a, b, q));
}
INLINE void store_3(act *out, vec a, vec b, vec c, const requantization *q, int channels)
{
    store_2(out, a, b, q, channels);
    store_1(out + 8, c, q, channels);
}
INLINE void store_4(act *out, vec a, vec b, vec c, vec d, const requantization *q, int channels)
{
    (void)channels;
    vst1q_s8(out, vcombine_s8(narrow(a, b, q), narrow(c, d, q)));
}
#define DEPTH 8
/* Sums of DEPTH channels of a depthwise convolution; two products of a row of the kernel fit in 16 bits. */
INLINE void depthwise_sums(const act *x, int rows, int columns, int row, int pixel, const int8_t *w, int next, const int32_t *bias, vec *sums)
{
    (void)bias;
    int32x4_t a = START(bias, 0), b = START(bias, 1);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < columns; k += 2, w += next) {
            int16x8_t products = vmull_s8(vld1_s8(x + r * row + k * pixel), vld1_s8(w));
            if (k + 1 < columns) {
                w += next;
                products = vmlal_s8(products, vld1_s8(x + r * row + (k + 1) * pixel), vld1_s8(w));
            }
            a = vaddw_s16(a, vget_low_s16(products));
            b = vaddw_high_s16(b, products);
        }
    sums[0] = a;
    sums[1] = b;
}
typedef int8x16_t bytes;
#define BYTES 16
INLINE bytes load_bytes(const act *p) { return vld1q_s8(p); }
INLINE void store_bytes(act *p, bytes b) { vst1q_s8(p, b); }
INLINE bytes max_bytes(bytes a, bytes b) { return vmaxq_s8(a, b); }
