#include "op/ops.h"

static const tutti_op *const ops[] = {
#define X(name) &tutti_op_##name,
#include "op/ops.def"
#undef X
};

const tutti_op *const *tutti_op_list(int32_t *count) {
    *count = (int32_t)(sizeof ops / sizeof *ops);
    return ops;
}
