#!/usr/bin/env bash
# A real Apache Kafka broker (KRaft, one node): kafka.sh DATA_DIR PORT CONTROLLER_PORT
# Runs in the foreground as the broker itself, so its pid is the one to end. An existing DATA_DIR is used again, as after
# a crash. Ready when its output says "Kafka Server started" (about 2 s). Needs `make peers` to have run.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
data=$1 port=$2 controller=$3 classpath="$kafka_jars/*"
# The broker lives for one test run, so what counts is its start: no optimising compiler, and classes loaded from the archive
# that install.sh made (without one, or with one of another Java, it only starts more slowly).
jvm=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC "${KAFKA_JVM:--XX:SharedArchiveFile=$kafka_jars/classes.jsa}" -Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off)
if [ ! -d "$kafka_jars" ]; then
  echo "Kafka $kafka_version is missing: run \`make peers\`" >&2
  exit 1
fi
mkdir -p "$data"
if [ ! -f "$data/server.properties" ]; then
  cat > "$data/server.properties.new" <<P
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$data/log
num.partitions=3
# A misspelt topic is to fail, as on most production clusters.
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
# A killed broker comes back only when the controller has given up its former life: 9 s by default.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
P
  java "${jvm[@]}" -cp "$classpath" kafka.tools.StorageTool format --standalone -t MkU3OEVBNTcwNTJENDM2Qg -c "$data/server.properties.new" >&2
  mv "$data/server.properties.new" "$data/server.properties"
fi
exec java -Xmx512m "${jvm[@]}" -cp "$classpath" kafka.Kafka "$data/server.properties"
