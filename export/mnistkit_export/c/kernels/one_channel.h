/* Sums of one channel each, in the registers of the processor. */
INLINE vec reduce(const sum *a) { return *a; }
INLINE vec vec_max(vec a, vec b) { return a > b ? a : b; }
INLINE vec requantize(vec a, const requantization *q, int c) { return requantize_one(a, q, c); }
INLINE void store_1(act *out, vec a, const requantization *q, int channels)
{
    (void)channels;
    a += q->zero;
    *out = (act)(a < q->low ? q->low : a > q->high ? q->high : a);
}
