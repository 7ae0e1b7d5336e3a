/* Maximum over axes. */
#define NAME     max
#define OPERATOR >
#define IDENTITY -INFINITY
#define SUMMARY  "maximum over axes"
#include "op/extremum_over.h"
