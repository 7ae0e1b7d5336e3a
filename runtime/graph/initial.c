/* What may start a parameter, and the fans of its shape. */
#include <math.h>

#include "base/status.h"
#include "graph/graph.h"

double tutti_fan_in(const tutti_shape *shape) {
    double fan = 1;
    for (int32_t d = 1; d < shape->rank; d++)
        fan *= (double)shape->dim[d];
    return fan;
}

double tutti_fan_out(const tutti_shape *shape) {
    return tutti_fan_in(shape) / (double)shape->dim[1] * (double)shape->dim[0];
}

/* Kinds that look at the shape: its first two axes are outputs and inputs. */
static tutti_status check_rank(const char *what, const tutti_shape *shape) {
    char text[TUTTI_SHAPE_TEXT];
    if (shape->rank >= 2)
        return TUTTI_OK;
    return tutti_fail(TUTTI_SHAPE, "%s start of shape %s, expected at least two axes", what,
                      tutti_shape_text(shape, text));
}

static tutti_status check_at_least_0(const char *what, float value) {
    if (value >= 0)
        return TUTTI_OK;
    return tutti_fail(TUTTI_INVALID_ARGUMENT, "%s of the start is %g, must not be negative", what,
                      (double)value);
}

tutti_status tutti_init_check(const tutti_init *init, const tutti_shape *shape) {
    if (!isfinite(init->a) || !isfinite(init->b))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "the start has a = %g, b = %g: not finite",
                          (double)init->a, (double)init->b);
    switch (init->kind) {
    case TUTTI_INIT_ZEROS:
    case TUTTI_INIT_CONSTANT:
        return TUTTI_OK;
    case TUTTI_INIT_UNIFORM:
        if (init->a <= init->b)
            return TUTTI_OK;
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "uniform start in [%g, %g)", (double)init->a,
                          (double)init->b);
    case TUTTI_INIT_NORMAL:
    case TUTTI_INIT_TRUNCATED_NORMAL:
        return check_at_least_0("standard deviation", init->b);
    case TUTTI_INIT_KAIMING_UNIFORM:
    case TUTTI_INIT_KAIMING_NORMAL:
        TUTTI_TRY(check_at_least_0("gain", init->a));
        if (init->b < 0 && init->b != TUTTI_FAN_OUT)
            return tutti_fail(TUTTI_INVALID_ARGUMENT, "fan of the start is %g", (double)init->b);
        return init->b > 0 ? TUTTI_OK : check_rank("Kaiming", shape);
    case TUTTI_INIT_XAVIER_UNIFORM:
    case TUTTI_INIT_XAVIER_NORMAL:
        TUTTI_TRY(check_at_least_0("gain", init->a));
        return check_rank("Xavier", shape);
    case TUTTI_INIT_ORTHOGONAL:
        TUTTI_TRY(check_at_least_0("gain", init->a));
        return check_rank("orthogonal", shape);
    }
    return tutti_fail(TUTTI_INVALID_ARGUMENT, "%d is no kind of start", (int)init->kind);
}
