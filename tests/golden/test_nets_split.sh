#!/bin/bash
# The networks once more with one CPU as two devices that share every batch.
set -eu
TUTTI_TEST_PROFILE=$2/samples/profiles/split-cpu.json exec "$1/tests/test_golden_nets"
