/* Helium (MVE) of Cortex-M55. */
#include <arm_mve.h>
#define CHANNEL_ROWS 1
typedef int8_t act;
typedef int8_t input;
typedef int32_t sum;
typedef int32_t vec;
typedef int8x16_t inputs;
typedef int8x16_t weights;
#define OFFSET 0
#define V 1
#define G 1
#define TILE 1
#define BLOCK 16
#define LANES 1
#define WIDEN 0
#define STEPS STEP(0)
#define WEIGHT_STEP 256
#define UNROLLED 4
#define PEEL 0
#define START(bias, n) *(bias)
#define LOAD_BLOCK(x, p)
#define LOAD_STEP(x, p) x = vldrbq_s8(p)
#define LOAD_WEIGHTS_1(w, next) w##0 = vldrbq_s8(w)
#define DOT(a, x, lane, w) a = vmladavaq_s8(a, x, w)
#define DEPTH 4
INLINE void depthwise_sums(const act *x, int rows, int columns, int row, int pixel, const int8_t *w, int next, const int32_t *bias, vec *sums)
{
    int32x4_t a = vldrwq_s32(bias);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < columns; k++, w += next)
            a = vaddq_s32(a, vmulq_s32(vldrbq_s32(x + r * row + k * pixel), vldrbq_s32(w)));
    vstrwq_s32(sums, a);
}
typedef int8x16_t bytes;
#define BYTES 16
INLINE bytes load_bytes(const act *p) { return vldrbq_s8(p); }
INLINE void store_bytes(act *p, bytes b) { vstrbq_s8(p, b); }
INLINE bytes max_bytes(bytes a, bytes b) { return vmaxq_s8(a, b); }
