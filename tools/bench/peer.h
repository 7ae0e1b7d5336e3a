/* Other frameworks, as child processes that train the same network: tools/bench_<peer>.py.
 *
 * Protocol, a line each: the script answers "ready" once it is warm; to "round" it runs a round of
 * each of its variants and answers with a JSON array of {"variant", "s_per_step", "peak_mib"}; it
 * ends when its input does. A script that cannot run answers "problem: ...". */
#ifndef TUTTI_TOOLS_BENCH_PEER_H
#define TUTTI_TOOLS_BENCH_PEER_H

#include "bench.h"

#define BENCH_VARIANTS_MAX 16

typedef struct bench_peer bench_peer;

typedef struct bench_peer_result {
    const char *variant;
    double median_s, best_s; /* per step */
    double peak_mib;
} bench_peer_result;

/* Starts the peers that --peers names, for the network. */
TUTTI_MUST_USE tutti_status bench_peers_start(const bench *b, const bench_noun *noun,
                                              const char *net, bench_peer **out, int32_t max,
                                              int32_t *out_count);
/* What fails is the peer's problem. */
void bench_peer_round(bench_peer *peer);
/* By variant; returns their number, 0 when there is a problem. */
int32_t bench_peer_results(bench_peer *peer, bench_peer_result out[BENCH_VARIANTS_MAX]);
const char *bench_peer_name(const bench_peer *peer);
const char *bench_peer_problem(const bench_peer *peer);
void bench_peer_stop(bench_peer *peer);

#endif
