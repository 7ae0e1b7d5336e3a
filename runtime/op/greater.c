/* 1 where a is above b, else 0 */
#define NAME     greater
#define OPERATOR >
#define SUMMARY  "1 where a is above b, else 0"
#include "op/compare.h"
