/* 1 where a differs from b, else 0. A NaN differs from everything. */
#define NAME     not_equal
#define OPERATOR !=
#define SUMMARY  "1 where a differs from b, else 0"
#include "op/compare.h"
