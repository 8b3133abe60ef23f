/* The image to classify, from the file IMAGE. */
  .section .rodata.image, "a"
  .global image
  .balign 4
image:
  .incbin IMAGE
