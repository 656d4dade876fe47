# Where the test peers live, sourced by the scripts beside it; tests/it/peers/mod.rs says the same in Rust.
# Nothing is installed inside the source tree: a clone stays clean, and every clone shares one copy.
cache=${TOLLGATE_CACHE:-$HOME/.cache/tollgate}
peers=$cache/peers
kafka_version=4.3.0
# shellcheck disable=SC2034 # used by the scripts that source this
kafka_jars=$peers/kafka-$kafka_version
# shellcheck disable=SC2034
python=$peers/python/bin/python
