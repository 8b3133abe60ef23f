"""Writes a UF2 file, which the RP2350's USB drive accepts, from a binary image: uf2.py IMAGE.bin OUT.uf2."""

import struct
import sys
from pathlib import Path

FLASH = 0x10000000
FAMILY = 0xE48BFF59  # programs for the RP2350's Arm cores in secure state
HAS_FAMILY = 0x2000
PAYLOAD = 256  # bytes of a page of the flash; the boot ROM accepts no other size


def main(source: str, target: str) -> None:
    """Convert `source` into `target`."""
    image = Path(source).read_bytes()
    pages = [image[start : start + PAYLOAD] for start in range(0, len(image), PAYLOAD)]
    with Path(target).open("wb") as file:
        for number, page in enumerate(pages):
            address = FLASH + number * PAYLOAD
            header = 0x0A324655, 0x9E5D5157, HAS_FAMILY, address, PAYLOAD, number, len(pages), FAMILY
            file.write(struct.pack("<8I476sI", *header, page, 0x0AB16F30))


if __name__ == "__main__":
    main(*sys.argv[1:])
