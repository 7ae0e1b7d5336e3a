/* Mean squared error, composed of other ops. */
#include "op/loss.h"

tutti_tensor tutti_mse(tutti_graph *g, tutti_tensor x, tutti_tensor target) {
    if (!tutti_loss_check(g, "mse", x, target))
        return (tutti_tensor){0};
    const tutti_tensor difference = tutti_sub(g, x, target);
    return tutti_mean(g, tutti_mul(g, difference, difference), 0, NULL, false);
}
