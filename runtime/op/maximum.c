/* The larger of a and b. */
#define NAME      maximum
#define OPERATOR  >
#define BEFORE    tutti_greater
#define REFERENCE fmax
#define SUMMARY   "larger of a and b"
#include "op/extremum.h"
