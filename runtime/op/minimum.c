/* The smaller of a and b. */
#define NAME      minimum
#define OPERATOR  <
#define BEFORE    tutti_less
#define REFERENCE fmin
#define SUMMARY   "smaller of a and b"
#include "op/extremum.h"
