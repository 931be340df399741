// The first entry of a stack on aarch64; switch_aarch64.hpp has the pictures.
#if defined(__aarch64__)
        .text
        .globl  spruce_first_entry
        .hidden spruce_first_entry
        .type   spruce_first_entry, %function
        .p2align 4
spruce_first_entry:
        .cfi_startproc
        .cfi_undefined x30              // the end of the stack: unwinders stop here
        hint    #36                     // bti j
        cmp     x10, x11
        b.eq    1f
        msr     fpcr, x11
1:      add     sp, sp, #32
        ldp     x9, x0, [sp], #16       // entry and its argument
        mov     x30, #0
        blr     x9
        brk     #1                      // entry never returns
        .cfi_endproc
        .size   spruce_first_entry, . - spruce_first_entry
#if defined(__ARM_FEATURE_BTI_DEFAULT)
        .section .note.gnu.property, "a"
        .p2align 3
        .word   4, 16, 5
        .asciz  "GNU"
        .word   0xc0000000, 4, 1, 0     // this object lands on BTI pads only
#endif
#endif
#if defined(__ELF__)
        .section .note.GNU-stack, "", %progbits
#endif
