/* kernels/models/registry.c - the architectures: the one list that knows their names */
#include "kernels/models/arch.h"

extern const struct arch whisper_arch, gemma3_arch;

const struct arch *const arch_list[] = { &whisper_arch, &gemma3_arch, NULL };
