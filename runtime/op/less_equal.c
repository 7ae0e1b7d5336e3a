/* 1 where a is at most b, else 0 */
#define NAME     less_equal
#define OPERATOR <=
#define SUMMARY  "1 where a is at most b, else 0"
#include "op/compare.h"
