/* 1 where a is at least b, else 0 */
#define NAME     greater_equal
#define OPERATOR >=
#define SUMMARY  "1 where a is at least b, else 0"
#include "op/compare.h"
