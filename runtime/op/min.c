/* Minimum over axes. */
#define NAME     min
#define OPERATOR <
#define IDENTITY INFINITY
#define SUMMARY  "minimum over axes"
#include "op/extremum_over.h"
