#include <math.h>

#include "base/rng.h"
#include "exec/run.h"

void tutti_init_fill(const tutti_tensor_record *record, uint64_t seed, float *out) {
    const int64_t count = tutti_shape_count(&record->type.shape, 1);
    const tutti_init init = record->init;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, tutti_rng_stream(record->name));
    float low = init.a, high = init.b;
    if (init.kind == TUTTI_INIT_KAIMING_UNIFORM) {
        high = init.b > 0 ? (float)(init.a / sqrt(init.b)) : 0.0F;
        low = -high;
    }
    for (int64_t i = 0; i < count; i++) {
        switch (init.kind) {
        case TUTTI_INIT_ZEROS:
            out[i] = 0.0F;
            break;
        case TUTTI_INIT_CONSTANT:
            out[i] = init.a;
            break;
        case TUTTI_INIT_UNIFORM:
        case TUTTI_INIT_KAIMING_UNIFORM:
            out[i] = low + (high - low) * tutti_rng_uniform(&rng);
            break;
        case TUTTI_INIT_NORMAL:
            out[i] = init.a + init.b * tutti_rng_normal(&rng);
            break;
        }
    }
}
