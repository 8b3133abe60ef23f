/* The softmax of n values, from a table of exp(-difference * scale); the result is in 1/256. */
#if FLOAT_SCALE
INLINE void softmax(const act *in, act *out, int n, const float *exps)
{
    int most = 0;
    float sum = 0.0f;
    for (int i = 0; i < n; i++)
        most = in[i] > most || i == 0 ? in[i] : most;
    for (int i = 0; i < n; i++)
        sum += exps[most - in[i]];
    const float inverse = 1.0f / (sum * 0.00390625f);
    for (int i = 0; i < n; i++) {
        const float x = exps[most - in[i]] * inverse;
        const int q = (int)x + (x - (float)(int)x >= 0.5f); /* x + 0.5 might be rounded up */
        out[i] = (act)((q > 255 ? 255 : q) - 128 + OFFSET);
    }
}
#else
INLINE int32_t saturate(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}
/* a * b / 2^31, rounded */
INLINE int32_t multiply_high(int32_t a, int32_t b)
{
    const int64_t product = (int64_t)a * b;
    return saturate((product + (product >= 0 ? 1 << 30 : 1 - (1 << 30))) / ((int64_t)1 << 31));
}
/* x / 2^n, halves away from zero */
INLINE int32_t divide_rounded(int32_t x, int n)
{
    const int32_t mask = (int32_t)((1u << n) - 1);
    return (x >> n) + ((x & mask) > (mask >> 1) + (x < 0));
}
/* 1 / x for 1/2 <= x < 1, as 1 + a with 31 fractional bits: three steps of Newton's method */
INLINE int32_t reciprocal(int32_t a)
{
    const int64_t sum = (int64_t)a + INT32_MAX;
    const int32_t half = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
    int32_t x = 1515870810 + multiply_high(half, -1010580540); /* 48/17 - 32/17 * half, 2 integer bits */
    for (int i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - multiply_high(half, x);
        x += saturate((int64_t)multiply_high(x, error) * 4);
    }
    return saturate((int64_t)x * 2);
}
INLINE void softmax(const act *in, act *out, int n, const int32_t *exps)
{
    int most = 0, shift = 0;
    uint32_t sum = 0; /* 12 integer bits */
    for (int i = 0; i < n; i++)
        most = in[i] > most || i == 0 ? in[i] : most;
    for (int i = 0; i < n; i++)
        sum += (uint32_t)divide_rounded(exps[most - in[i]], 12);
    while (!(sum >> 31 & 1)) {
        sum <<= 1;
        shift++;
    }
    const int32_t inverse = reciprocal((int32_t)(sum - 0x80000000u));
    for (int i = 0; i < n; i++) {
        const int32_t q = divide_rounded(multiply_high(inverse, exps[most - in[i]]), 12 - shift + 31 - 8);
        out[i] = (act)((q > 255 ? 255 : q) - 128 + OFFSET);
    }
}
#endif
