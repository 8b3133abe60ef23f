INLINE void store_sums(const vec *sums, const requantization *q, int c, act *out, int channels)
{
    for (int t = 0; t < DEPTH / V && t * V < channels; t++)
        store_1(out + t * V, requantize(sums[t], q, c + t * V), q, channels - t * V < V ? channels - t * V : V);
}
/* All channels of a pixel of a depthwise convolution; `next` is the distance of the kernel's weights. */
INLINE void depthwise(const act *x, int rows, int columns, int row, int pixel, const int8_t *w, int next,
        const requantization *q, act *out, int channels)
{
    vec sums[DEPTH / V];
    for (int c = 0; c + DEPTH <= channels; c += DEPTH) {
        depthwise_sums(x + c, rows, columns, row, pixel, w + c, next, q->bias + c, sums);
        store_sums(sums, q, c, out + c, DEPTH);
    }
    if (channels % DEPTH) {
        const int c = channels / DEPTH * DEPTH;
        depthwise_sums(x + c, rows, columns, row, pixel, w + c, next, q->bias + c, sums);
        store_sums(sums, q, c, out + c, channels % DEPTH);
    }
}
INLINE act clamp(int32_t q, int32_t low, int32_t high)
{
    return (act)((q < low ? low : q > high ? high : q) + OFFSET);
}
/* The same with `ratio` output channels for each input channel. */
INLINE void depthwise_multiplied(const act *x, int rows, int columns, int row, int pixel, const int8_t *w, int next,
        int ratio, const requantization *q, act *out, int channels)
{
    for (int c = 0; c < channels; c++) {
        int32_t sum = q->bias[c];
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < columns; k++)
                sum += x[r * row + k * pixel + c / ratio] * w[(r * columns + k) * next + c];
        out[c] = clamp(requantize_one(sum, q, c) + q->zero, q->low, q->high);
    }
}
INLINE void max_pool(const act *from, int rows, int columns, int row, int pixel, act *to, int channels, int32_t low, int32_t high)
{
    int c = 0;
    for (; c + BYTES <= channels; c += BYTES) {
        bytes most = load_bytes(from + c);
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < columns; k++)
                most = max_bytes(most, load_bytes(from + r * row + k * pixel + c));
        store_bytes(to + c, most);
    }
    for (; c < channels; c++) {
        act most = from[c];
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < columns; k++)
                most = from[r * row + k * pixel + c] > most ? from[r * row + k * pixel + c] : most;
        to[c] = most;
    }
    if (low > -128 || high < 127)
        for (c = 0; c < channels; c++)
            to[c] = clamp(to[c] - OFFSET, low, high);
}
INLINE void average_pool(const act *from, int rows, int columns, int row, int pixel, act *to, int channels, int32_t low, int32_t high)
{
    const int count = rows * columns;
    for (int c = 0; c < channels; c++) {
        int32_t sum = 0;
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < columns; k++)
                sum += from[r * row + k * pixel + c] - OFFSET;
        to[c] = clamp((sum > 0 ? sum + count / 2 : sum - count / 2) / count, low, high);
    }
}
INLINE void copy_bytes(act *to, const act *from, int n)
{
    int i = 0;
    for (; i + 4 <= n; i += 4)
        store_32(to + i, load_32(from + i));
    for (; i < n; i++)
        to[i] = from[i];
}
/* q = (a * scale_a + b * scale_b) as the two runtimes compute it. */
#if FLOAT_SCALE
typedef struct { int32_t scale_a, scale_b, bias; int shift; } addition;
INLINE int32_t sum_of_two(int32_t a, int32_t b, const addition *s)
{
    return (a * s->scale_a + b * s->scale_b + s->bias) >> s->shift;
}
INLINE void mean(const act *from, int rows, int columns, int row, int pixel, act *to, int channels, float scale, float bias)
{
    for (int c = 0; c < channels; c++) {
        int32_t sum = 0;
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < columns; k++)
                sum += from[r * row + k * pixel + c] - OFFSET;
        to[c] = clamp(round_float((float)sum * scale + bias), -128, 127);
    }
}
#else
typedef struct {
    int32_t zero_a, scale_a;
    int shift_a;
    int32_t zero_b, scale_b;
    int shift_b;
    int32_t scale;
    int shift;
} addition;
INLINE int32_t sum_of_two(int32_t a, int32_t b, const addition *s)
{
    const int32_t x = multiply_rounded_twice((a - s->zero_a) * (1 << 20), s->scale_a, s->shift_a);
    const int32_t y = multiply_rounded_twice((b - s->zero_b) * (1 << 20), s->scale_b, s->shift_b);
    return multiply_rounded_twice(x + y, s->scale, s->shift);
}
INLINE void mean(const act *from, int rows, int columns, int row, int pixel, act *to, int channels, int32_t zero,
        int32_t multiplier, int shift, int32_t to_zero)
{
    for (int c = 0; c < channels; c++) {
        int32_t sum = -rows * columns * (zero + OFFSET);
        for (int r = 0; r < rows; r++)
            for (int k = 0; k < columns; k++)
                sum += from[r * row + k * pixel + c];
        sum = multiply_rounded_twice(sum, multiplier, shift);
        to[c] = clamp(sum + to_zero, -128, 127);
    }
}
#endif
