/* x rounded to f16, in 2 bytes. */
#define NAME  to_f16
#define DTYPE TUTTI_F16
#define WORD  "f16"
#define ROUND "round_f16"
#include "op/narrow.h"
