/* Mean absolute error, composed of other ops. The gradient is 0 where both are equal. */
#include "op/loss.h"

tutti_tensor tutti_l1(tutti_graph *g, tutti_tensor x, tutti_tensor target) {
    if (!tutti_loss_check(g, "l1", x, target))
        return (tutti_tensor){0};
    return tutti_mean(g, tutti_abs(g, tutti_sub(g, x, target)), 0, NULL, false);
}
