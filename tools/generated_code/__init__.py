"""Generated C on processors that this machine does not have: it is compiled for them and runs under QEMU.

On microcontrollers, bare_metal.c is the program both for checks and for counts.
Under Linux, tests/c/harness.c checks it and count_loop.c counts.
"""
