/* What the optimizers share: param, grad and states of one shape, updated element by element. */
#ifndef TUTTI_OP_OPTIMIZER_H
#define TUTTI_OP_OPTIMIZER_H

#include "op/elementwise.h"

/* infer: all inputs f32, of one shape, not batched; the output is the new input 0. */
tutti_status tutti_update_infer(const tutti_node_info *node, tutti_infer *out);
/* cost: reads all inputs, writes those that it changes; `flops` per element. */
tutti_cost tutti_update_cost(const tutti_node_info *node, double flops);
/* A launch over the elements of input 0, by tutti_launch_slots. */
tutti_launch *tutti_update_launch(const tutti_node_info *node, tutti_lowering *out,
                                  tutti_candidate *candidate, const char *file, const char *entry,
                                  const char *options);

/* Checks the tutti_update_attr that the attributes start with, then as tutti_update_infer. */
tutti_status tutti_optimizer_infer(const tutti_node_info *node, tutti_infer *out);
/* Learning rate of the parameter, and the number of this update, counting from 1. */
double tutti_update_lr(const tutti_run_values *run, const void *attr);
double tutti_update_number(const tutti_run_values *run, const void *attr);
/* Host argument: the learning rate, computed in double, rounded once. */
float tutti_update_lr_f32(const tutti_run_values *run, const void *attr);

/* Host arguments of Adam and AdamW in update t: lr / (1 - beta1^t), sqrt(1 - beta2^t). Computed in
 * double, rounded once. */
float tutti_adam_step_size(const tutti_run_values *run, const void *attr);
float tutti_adam_root2(const tutti_run_values *run, const void *attr);
/* Checks the attributes of Adam, AdamW and LAMB, then the shapes. */
tutti_status tutti_adam_infer(const tutti_node_info *node, tutti_infer *out);
tutti_status tutti_adam_lower(const tutti_node_info *node, tutti_lowering *out, const char *file,
                              tutti_host_f32 decay);
/* The update itself in double; decoupled: AdamW. */
void tutti_adam_ref(const tutti_ref_call *call, bool decoupled);

#endif
