/* A word for each row of an image, with a bit for each column that differs from the value q. */
INLINE void mark_drawn(uint32_t *drawn, const act *image, int rows, int row, int columns, int q)
{
    const uint64_t background = 0x0101010101010101u * (uint8_t)(q + OFFSET), low = 0x7f7f7f7f7f7f7f7fu;
    for (int y = 0; y < rows; y++, image += row) {
        uint32_t bits = 0;
        for (int x = 0; x < columns; x += 8) {
            const uint64_t v = (uint64_t)load_64(image + x) ^ background;
            const uint64_t differs = (((v & low) + low) | v) >> 7 & 0x0101010101010101u; /* the lowest bit of each byte */
            bits |= (uint32_t)(differs * 0x0102040810204080u >> 56) << x;
        }
        drawn[y] = columns < 32 ? bits & (((uint32_t)1 << columns % 32) - 1) : bits;
    }
}
/* A bit for each column from which on a window of rows and columns is not blank. */
INLINE uint32_t any_drawn(const uint32_t *drawn, int rows, int columns)
{
    uint32_t any = 0, result = 0;
    UNROLL(8)
    for (int r = 0; r < rows; r++)
        any |= drawn[r];
    UNROLL(16)
    for (int k = 0; k < columns; k++)
        result |= any >> k;
    return result;
}
/* Lists the positions of a kernel: first those that are not blank for all pixels of a tile, then the others. list[0] is
   the number of the first. `pixels` has a bit for each pixel of the tile; rows of pixels are `below` rows apart. */
INLINE void list_positions(uint8_t *list, const uint32_t *drawn, int rows, int columns, int x, uint32_t pixels, int below)
{
    uint8_t *live = list + 1, *blank = list + rows * columns;
    for (int r = 0; r < rows; r++) {
        const uint32_t bits = (drawn[r] | drawn[r + below]) >> x;
        for (int k = 0; k < columns; k++) {
            const int is_live = (bits >> k & pixels) != 0;
            *live = *blank = (uint8_t)(r * columns + k);
            live += is_live;
            blank -= !is_live;
        }
    }
    list[0] = (uint8_t)(live - list - 1);
}
/* The bias of a tile: that of the layer, and what the blank positions add. */
INLINE void add_blank(int32_t *to, const int32_t *bias, const int32_t *blank, const uint8_t *list, int positions, int channels)
{
    for (int c = 0; c < channels; c += 4) {
        int32_t a = bias[c], b = bias[c + 1], e = bias[c + 2], f = bias[c + 3];
        for (int i = list[0] + 1; i <= positions; i++) {
            const int32_t *add = blank + list[i] * channels + c;
            a += add[0];
            b += add[1];
            e += add[2];
            f += add[3];
        }
        to[c] = a;
        to[c + 1] = b;
        to[c + 2] = e;
        to[c + 3] = f;
    }
}
