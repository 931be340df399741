// The first entry of a stack on x86_64; switch_x86_64.hpp has the pictures.
#if defined(__x86_64__) && !defined(__ILP32__)
#if defined(__CET__)
#include <cet.h>                        // the note that says that this object lands on pads only
#endif
        .text
        .globl  spruce_first_entry
        .hidden spruce_first_entry
        .type   spruce_first_entry, @function
        .p2align 4
spruce_first_entry:
        .cfi_startproc
        .cfi_undefined rip              // the end of the stack: unwinders stop here
#if defined(__CET__) && (__CET__ & 1)
        endbr64
#endif
        xorl    (%rsp), %eax            // floating-point control as at every arrival
        testl   $0xffc0, %eax
        je      1f
        ldmxcsr (%rsp)
1:      cmpw    4(%rsp), %dx
        je      2f
        fldcw   4(%rsp)
2:      addq    $8, %rsp
        popq    %rbp                    // 0: the end for those who follow frame pointers
        popq    %rax                    // entry
        popq    %rdi                    // its argument
        call    *%rax                   // rsp is a multiple of 16 here, as the ABI wants it at a call
        ud2                             // entry never returns
        .cfi_endproc
        .size   spruce_first_entry, . - spruce_first_entry
#endif
#if defined(__ELF__)
        .section .note.GNU-stack, "", %progbits
#endif
