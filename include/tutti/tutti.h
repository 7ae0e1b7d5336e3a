/* Everything but the extension headers. */
#ifndef TUTTI_TUTTI_H
#define TUTTI_TUTTI_H

#include "tutti/app.h"
#include "tutti/data.h"
#include "tutti/device.h"
#include "tutti/graph.h"
#include "tutti/nn.h"
#include "tutti/ops.h"
#include "tutti/plan.h"
#include "tutti/profile.h"
#include "tutti/report.h"
#include "tutti/runtime.h"
#include "tutti/status.h"
#include "tutti/table.h"
#include "tutti/text.h"
#include "tutti/train.h"
#include "tutti/types.h"

#endif
