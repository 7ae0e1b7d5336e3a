/* x rounded to bf16, in 2 bytes. */
#define NAME  to_bf16
#define DTYPE TUTTI_BF16
#define WORD  "bf16"
#define ROUND "round_bf16"
#include "op/narrow.h"
