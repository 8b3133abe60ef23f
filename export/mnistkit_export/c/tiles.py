"""The inner loops as text: P pixels × N sums, each sum a variable of its own.

An array of sums would be one index calculation away from memory: compilers keep plain variables in registers.
"""

from mnistkit_export.c.kernel import Tile, indent

WIDE = (2, 3, 4)  # vectors of output channels that a tile computes where the instruction set has registers for it
STEP = """\
            LOAD STEPS x += BLOCK;"""
INPUTS = f"""\
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
"""
REST = """\
#if LANES == 4
        if (n % BLOCK) {
            LOAD STEP(0)
            if (n % BLOCK > 4) {
                STEP(1)
            }
            if (n % BLOCK > 8) {
                STEP(2)
            }
            x += n % BLOCK;
        }
#endif
        x += stride - n;
"""


def declare(used: frozenset[Tile]) -> str:
    """The functions of all tiles that a network uses, in the sizes of each instruction set."""
    parts = []
    for pixels, positions in sorted({(tile.pixels, tile.positions) for tile in used}):
        write = _positions_tile if positions else _tile
        parts.append(_for_wide("".join(write(pixels, sums) for sums in WIDE)))
        parts += [f"#if G == {sums}\n{write(pixels, sums)}#endif\n" for sums in (1, 2, 4)]
    for pixels, pooled in sorted({(tile.pixels, tile.pooled) for tile in used}):
        tile = Tile(pixels, pooled=pooled)
        parts += [_for_wide("".join(_finish(tile, vectors) for vectors in WIDE)), _finish(tile, 1)]
    parts += [_convolve(tile) for tile in sorted(used, key=lambda tile: (tile.pixels, tile.pooled, tile.positions))]
    return "".join(parts)


def _for_wide(text: str) -> str:
    """Text for instruction sets whose tiles are up to four vectors wide."""
    return f"#if TILE == 4 * V\n{text}#endif\n"


def _tile(pixels: int, sums: int) -> str:
    """The function tile_PxN: the sums of P pixels over rows of n inputs."""
    start, steps, results = _parts(pixels, sums)
    return f"""\
INLINE void tile_{pixels}x{sums}(const input *x{_offsets(pixels)}, int rows, int n, int stride, const int8_t *w,
        int next, const int32_t *bias, sum *a)
{{
{start}
{steps}
    (void)next;
    (void)bias;
#if PEEL
{_step("FIRST_STEP", "FIRST_DOT", pixels, sums)}
    if (rows == 1) {{
        FIRST_STEP(0) x += BLOCK;
    }}
#undef FIRST_STEP
#endif
    for (int r = 0; r < rows; r++) {{
        const int blocks = n / BLOCK - (PEEL && rows == 1);
{INPUTS}{REST}    }}
#undef STEP
#undef LOAD
    {results}
}}
"""


def _positions_tile(pixels: int, sums: int) -> str:
    """The function tile_positions_PxN: the sums of P pixels over the n inputs of each position of the kernel in a list.

    list[0] is the number of positions.
    """
    start, steps, results = _parts(pixels, sums)
    return f"""\
INLINE void tile_positions_{pixels}x{sums}(const input *from{_offsets(pixels)}, const uint8_t *list,
        const uint16_t *offsets, int n, const int8_t *first, int next, const int32_t *bias, sum *a)
{{
{start}
{steps}
    (void)next;
    (void)bias;
    for (int r = 1; r <= list[0]; r++) {{
        const input *x = from + offsets[list[r]];
        const int8_t *w = first + list[r] * 16 * n;
        const int blocks = n / BLOCK;
{INPUTS}    }}
#undef STEP
#undef LOAD
    {results}
}}
"""


def _parts(pixels: int, sums: int) -> tuple[str, str, str]:
    """The declarations of a tile, the macros of its steps, and the assignments of its results."""
    loads = " ".join(f"LOAD_BLOCK(x{p}, x{_at(p)});" for p in range(pixels))
    starts = ", ".join(f"a{p}{n} = START(bias, {n})" for p in range(pixels) for n in range(sums))
    inputs, weights = ", ".join(f"x{p}" for p in range(pixels)), ", ".join(f"w{n}" for n in range(sums))
    results = " ".join(f"a[{p * sums + n}] = a{p}{n};" for p in range(pixels) for n in range(sums))
    start = f"    sum {starts};\n    inputs {inputs};\n    weights {weights};"
    return start, f"#define LOAD FENCE; {loads}\n{_step('STEP', 'DOT', pixels, sums)}", results


def _step(name: str, dot: str, pixels: int, sums: int) -> str:
    """The macro of one step: the weights of all sums, then each pixel times them."""
    lines = [f"#define {name}(lane) LOAD_WEIGHTS_{sums}(w, next); w += WEIGHT_STEP; KEEP(w);"]
    for p in range(pixels):
        names = "".join(f", a{p}{n}" for n in range(sums))
        lines.append(f"        LOAD_STEP(x{p}, x{_at(p)}); {dot}S_{sums}(x{p}, lane{names});")
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
    name, step = _finish_name(tile), "" if tile.pooled else ", int step"
    unused = [] if tile.pooled or tile.pixels > 1 else ["(void)step;"]
    return f"""\
INLINE void {name}_{tile.pixels}x{vectors}(const sum *a, const requantization *q, int c, act *out{step}, int channels)
{{
{indent([*unused, *stores])}
}}
"""


def _convolve(tile: Tile) -> str:
    """The function that computes `channels` channels of P pixels; constants select one of its branches."""
    finish, p = _finish_name(tile), tile.pixels
    step, step_type = ("", "") if tile.pooled else (", step", ", int step")
    rows = "const uint8_t *list, const uint16_t *offsets, int n" if tile.positions else "int rows, int n, int stride"
    names = "list, offsets, n" if tile.positions else "rows, n, stride"
    positions = "positions_" if tile.positions else ""
    arguments = "".join(f", at{q}" for q in range(1, p)) + f", {names}, w, next, q->bias + c, a"
    rest = f"(a, q, c, out{step}, channels);"
    branches = [
        line
        for vectors in reversed(WIDE)
        for line in (
            f"if (channels > {vectors - 1} * V) {{",
            f"    tile_{positions}{p}x{vectors}(x{arguments});",
            f"    {finish}_{p}x{vectors}{rest}",
            "    return;",
            "}",
        )
    ]
    name = f"convolve_{positions}{'maximum_' if tile.pooled else ''}{p}"
    return f"""\
INLINE void {name}(const input *x{_offsets(p)}, {rows},
        const int8_t *w, int next, const requantization *q, int c, int channels, act *out{step_type})
{{
    sum a[{p} * SUMS];
{_for_wide(indent(branches) + chr(10))}    CAT(tile_{positions}{p}x, G)(x{arguments});
    {finish}_{p}x1{rest}
}}
"""


def _finish_name(tile: Tile) -> str:
    """The name of the function that finishes a tile."""
    return "store_maximum" if tile.pooled else "store"


def _offsets(pixels: int) -> str:
    return "".join(f", int at{p}" for p in range(1, pixels))


def _at(pixel: int) -> str:
    return f" + at{pixel}" if pixel else ""


def _largest(values: list[str]) -> str:
    """The maximum of four vectors."""
    a, b, c, d = values
    return f"vec_max(vec_max({a}, {b}), vec_max({c}, {d}))"
