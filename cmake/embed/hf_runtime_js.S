// runtime.js is found through the assembler's include path, which is the build folder.
    .section .rodata.hf_runtime_js, "a", @progbits
    .global hf_runtime_js
    .hidden hf_runtime_js
    .global hf_runtime_js_end
    .hidden hf_runtime_js_end
    .balign 16
hf_runtime_js:
    .incbin "runtime.js"
hf_runtime_js_end:
    .byte 0
    .section .note.GNU-stack, "", @progbits
