/* 1 where a is below b, else 0 */
#define NAME     less
#define OPERATOR <
#define SUMMARY  "1 where a is below b, else 0"
#include "op/compare.h"
