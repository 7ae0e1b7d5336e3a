/* A program outside the tree: y = relu(x) w, one step of evaluation on whatever device there is. */
#include <stdio.h>
#include <string.h>

#include <tutti/tutti.h>

int main(void) {
    printf("tutti %s\n", tutti_version());
    tutti_graph *graph;
    if (tutti_graph_make(&graph) != TUTTI_OK)
        return 1;
    const int64_t dims[] = {TUTTI_BATCH, 4};
    tutti_tensor x = tutti_graph_input(graph, "x", TUTTI_F32, 2, dims);
    tutti_tensor y = tutti_linear(graph, tutti_relu(graph, x), 2, "head");
    tutti_shape shape = tutti_graph_tensor_shape(graph, y);
    char text[TUTTI_SHAPE_TEXT];
    printf("shape %s\n", tutti_shape_text(&shape, text));
    int good = strcmp(text, "Nx2") == 0;
    (void)tutti_graph_set_output(graph, "logits", y);
    good = good && tutti_graph_freeze(graph) == TUTTI_OK;
    tutti_graph_free(graph);
    return good ? 0 : 1;
}
