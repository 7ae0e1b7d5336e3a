/* 1 where a equals b, else 0 */
#define NAME     equal
#define OPERATOR ==
#define SUMMARY  "1 where a equals b, else 0"
#include "op/compare.h"
