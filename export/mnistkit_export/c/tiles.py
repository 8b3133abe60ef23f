"""The inner loops as text: P pixels × N sums, each sum a variable of its own.

An array of sums would be one index calculation away from memory: compilers keep plain variables in registers.
"""

from mnistkit_export.c.kernel import Tile, indent

WIDE = (2, 3, 4)  # vectors of output channels that a tile computes where the instruction set has registers for it
STEP = """\
            LOAD STEPS x += BLOCK;"""
LOOP = f"""\
    for (int r = 0; r < rows; r++) {{
        const int blocks = n / BLOCK - (PEEL && rows == 1);
        for (int k = 0; k < blocks / UNROLLED; k++) {{
{STEP}
#if UNROLLED > 1
{STEP}
#endif
#if UNROLLED > 2
{STEP}
{STEP}
#endif
        }}
#if UNROLLED > 1
        if (blocks % UNROLLED > 0) {{
{STEP}
        }}
#endif
#if UNROLLED > 2
        if (blocks % UNROLLED > 1) {{
{STEP}
        }}
        if (blocks % UNROLLED > 2) {{
{STEP}
        }}
#endif
#if LANES == 4
        if (n % BLOCK) {{
            LOAD STEP(0)
            if (n % BLOCK > 4) {{
                STEP(1)
            }}
            if (n % BLOCK > 8) {{
                STEP(2)
            }}
            x += n % BLOCK;
        }}
#endif
        x += stride - n;
    }}
"""


def declare(used: frozenset[Tile]) -> str:
    """The functions of all tiles that a network uses, in the sizes of each instruction set."""
    parts = []
    for pixels in sorted({tile.pixels for tile in used}):
        parts.append(_for_wide("".join(_tile(pixels, sums) for sums in WIDE)))
        parts += [f"#if G == {sums}\n{_tile(pixels, sums)}#endif\n" for sums in (1, 2, 4)]
    for tile in sorted(used, key=lambda tile: (tile.pixels, tile.pooled)):
        parts += [_for_wide("".join(_finish(tile, vectors) for vectors in WIDE)), _finish(tile, 1), _convolve(tile)]
    return "".join(parts)


def _for_wide(text: str) -> str:
    """Text for instruction sets whose tiles are up to four vectors wide."""
    return f"#if TILE == 4 * V\n{text}#endif\n"


def _tile(pixels: int, sums: int) -> str:
    """The function tile_PxN: the sums of P pixels over rows of n inputs."""
    loads = " ".join(f"LOAD_BLOCK(x{p}, x{_at(p)});" for p in range(pixels))
    starts = ", ".join(f"a{p}{n} = START(bias, {n})" for p in range(pixels) for n in range(sums))
    results = " ".join(f"a[{p * sums + n}] = a{p}{n};" for p in range(pixels) for n in range(sums))
    return f"""\
INLINE void tile_{pixels}x{sums}(const input *x{_offsets(pixels)}, int rows, int n, int stride, const int8_t *w,
        int next, const int32_t *bias, sum *a)
{{
    sum {starts};
    inputs {", ".join(f"x{p}" for p in range(pixels))};
    weights {", ".join(f"w{n}" for n in range(sums))};
#define LOAD FENCE; {loads}
{_step("STEP", "DOT", pixels, sums)}
    (void)next;
    (void)bias;
#if PEEL
{_step("FIRST_STEP", "FIRST_DOT", pixels, sums)}
    if (rows == 1) {{
        FIRST_STEP(0) x += BLOCK;
    }}
#undef FIRST_STEP
#endif
{LOOP}#undef STEP
#undef LOAD
    {results}
}}
"""


def _step(name: str, dot: str, pixels: int, sums: int) -> str:
    """The macro of one step: the weights of all sums, then each pixel times them."""
    lines = [f"#define {name}(lane) LOAD_WEIGHTS_{sums}(w, next); w += WEIGHT_STEP; KEEP(w);"]
    for p in range(pixels):
        dots = " ".join(f"{dot}(a{p}{n}, x{p}, lane, w{n});" for n in range(sums))
        lines.append(f"        LOAD_STEP(x{p}, x{_at(p)}); {dots}")
    return " \\\n".join(lines)


def _finish(tile: Tile, vectors: int) -> str:
    """The function that turns the sums of a tile into activations: maximum if pooled, scale, limits, store."""
    stores = []
    for p in range(1 if tile.pooled else tile.pixels):
        sums = [[f"reduce(a + {q * vectors + t} * G)" for q in range(tile.pixels)] for t in range(vectors)]
        values = [_largest(row) if tile.pooled else row[p] for row in sums]
        scaled = [f"requantize({value}, q, c + {t} * V)" for t, value in enumerate(values)]
        at = "" if tile.pooled or not p else f" + {p} * step"
        stores.append(f"store_{vectors}(out{at}, {', '.join(scaled)}, q, channels);")
    name, step = _names(tile)[1], "" if tile.pooled else ", int step"
    unused = [] if tile.pooled or tile.pixels > 1 else ["(void)step;"]
    return f"""\
INLINE void {name}_{tile.pixels}x{vectors}(const sum *a, const requantization *q, int c, act *out{step}, int channels)
{{
{indent([*unused, *stores])}
}}
"""


def _convolve(tile: Tile) -> str:
    """The function that computes `channels` channels of P pixels; constants select one of its branches."""
    name, finish = _names(tile)
    p, step, step_type = tile.pixels, "" if tile.pooled else ", step", "" if tile.pooled else ", int step"
    arguments = "".join(f", at{q}" for q in range(1, p)) + ", rows, n, stride, w, next, q->bias + c, a"
    rest = f"(a, q, c, out{step}, channels);"
    branches = [
        line
        for vectors in reversed(WIDE)
        for line in (
            f"if (channels > {vectors - 1} * V) {{",
            f"    tile_{p}x{vectors}(x{arguments});",
            f"    {finish}_{p}x{vectors}{rest}",
            "    return;",
            "}",
        )
    ]
    return f"""\
INLINE void {name}_{p}(const input *x{_offsets(p)}, int rows, int n, int stride, const int8_t *w,
        int next, const requantization *q, int c, int channels, act *out{step_type})
{{
    sum a[{p} * SUMS];
{_for_wide(indent(branches) + chr(10))}    CAT(tile_{p}x, G)(x{arguments});
    {finish}_{p}x1{rest}
}}
"""


def _names(tile: Tile) -> tuple[str, str]:
    """The names of the functions that compute a tile, and that finish it."""
    return ("convolve_maximum", "store_maximum") if tile.pooled else ("convolve", "store")


def _offsets(pixels: int) -> str:
    return "".join(f", int at{p}" for p in range(1, pixels))


def _at(pixel: int) -> str:
    return f" + at{pixel}" if pixel else ""


def _largest(values: list[str]) -> str:
    """The maximum of four vectors."""
    a, b, c, d = values
    return f"vec_max(vec_max({a}, {b}), vec_max({c}, {d}))"
